"""Calibration: the images int8 is fitted to, what they excite in a model, the ranges taken from it."""
