"""What makes a part: nothing but a frame, a message, the camera's counter, or files of one name."""
