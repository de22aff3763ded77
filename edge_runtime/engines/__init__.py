"""Inference engines: one file per library, chosen by name in `catalogue.py`."""
