"""The report on one run: what is gathered for it, and the page and the model card that say it."""
