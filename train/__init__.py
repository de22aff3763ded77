"""Top floor of edge-inspect: datasets, fine-tuning and export. The only floor that knows torch."""
