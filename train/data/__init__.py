"""Datasets: their manifest, reading and augmentation."""
