"""The fitting of a network: recipe, loop, checkpoints, and the record of a run."""
