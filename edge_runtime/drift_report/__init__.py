"""A station's drift history told to a person: what has moved, what moved first, and what to do."""
