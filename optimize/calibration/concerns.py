"""What makes a calibration set doubtful by its labels alone, before anything is run.

Owns the counting and its sentences. Whether the images are of the right kind is asked in `domain`.
"""

from collections import Counter
from collections.abc import Sequence

FEWEST_IMAGES = 32
"""Below this many images the extremes of deep layers are chance: a warning."""


def concerns(labels: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """What makes a calibration set doubtful, in sentences; `classes` are the model's labels."""
    seen = Counter(labels)
    absent = [label for label in classes if not seen[label]]
    found = []
    if len(labels) < FEWEST_IMAGES:
        found.append(
            f"only {len(labels)} calibration images: below {FEWEST_IMAGES} the ranges are chance; of "
            f"further images, up to {2 / (len(labels) + 1):.0%} go beyond a layer's range"
        )
    if len(seen) == 1:
        found.append(
            f"all calibration images are of one class ({next(iter(seen)) or 'unlabelled'}): "
            f"what the {len(absent)} others excite may be clipped"
        )
    elif absent:
        found.append(f"no calibration image of {', '.join(absent)}")
    return tuple(found)
