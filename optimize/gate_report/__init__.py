"""What the gate found, for people and programs, whether a bundle came of it or not."""
