"""Figures of answers against the truth, with their intervals. Arrays in, values out."""
