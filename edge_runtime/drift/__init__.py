"""Whether a station still sees what its model was trained on: measured, tested, and said in words."""
