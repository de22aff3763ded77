"""Limits of the frame quality gate, taken from validation images. See docs/quality.md."""
