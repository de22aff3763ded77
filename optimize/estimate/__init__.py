"""What a network will cost on a device that is not at hand: layers, bounds, estimates."""
