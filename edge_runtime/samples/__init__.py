"""Samples: which parts are worth a person's look, where they lie, and how they are handed out."""
