"""The page to label in, and its twin for Label Studio."""
