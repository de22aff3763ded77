"""A refresh: new labels, the current model taught on, and a candidate only if it is not worse."""
