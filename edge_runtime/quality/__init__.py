"""The frame quality gate: whether a frame may be judged at all. See docs/quality.md."""
