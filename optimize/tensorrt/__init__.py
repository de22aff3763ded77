"""What TensorRT is given and what it is held to: files, plans, validation on the device."""
