"""Frame sources: one file per kind, chosen by the URL in `sources.py`."""
