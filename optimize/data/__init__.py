"""Labelled images as data: manifests, shards, folders, and what must not be opened."""
