"""Published T4 results, and the layers of the networks that they are of."""
