"""What is asked of a model unless somebody asks for something else: one place for all commands."""

from typing import Final

MIN_RECALL: Final = 0.85
"""Of the defective parts, answered `defect` or `review`."""
MAX_FALSE_POSITIVES: Final = 0.03
"""Of the good parts, answered `defect`."""
MIN_MACRO_F1: Final = 0.70
CONFIDENCE: Final = 0.95
"""Of each one-sided bound by itself."""
