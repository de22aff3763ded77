"""Where a measure's limit lies, given its values for images of which some are damaged.

Values in, values out, oriented so that higher is worse. Two questions are kept apart: which images are
damaged themselves, and how far the others reach.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ASIDE_AT = 8.0
"""Half quartile ranges above the median: 5.4 standard deviations of a normal tail. An eighth of the
images may be damaged and hardly move either."""
_TAIL = 0.1
"""Share of the images that the tail's shape is taken from,"""
_FEWEST_IN_TAIL = 10
"""but at least so many of them, up to half of all."""


def set_aside(values: Floats, least_spread: float, *, few: bool = False) -> npt.NDArray[np.bool_]:
    """Which images lie so far out that they are damaged rather than unusual; (images,).

    Judged by the middle of the values, which damaged images do not reach. Of a `few` more than a quarter
    may be damaged by chance: then by the better side of the middle, which none of them reaches.
    """
    aside = np.zeros(len(values), bool)
    while True:
        lower, middle, upper = np.quantile(values[~aside], (0.25, 0.5, 0.75))
        spread = middle - lower if few else upper - middle
        beyond = values > middle + _ASIDE_AT * max(spread, least_spread)
        if (beyond <= aside).all():
            return aside
        aside |= beyond


def limit(values: Floats, share: float, least_spread: float) -> float:
    """What a share of frames like these exceeds, by the quantile of an exponential tail.

    So small a share lies beyond the last of some hundred images; the mean excess over the upper tenth
    (peaks over threshold) says how the tail goes on.
    """
    tail = min(0.5, max(_TAIL, _FEWEST_IN_TAIL / len(values)))
    middle, start = np.quantile(values, (0.5, 1 - tail))
    excess = values[values > start] - start
    mean_excess = float(excess.mean()) if len(excess) else 0.0
    reached = float(start) + mean_excess * float(np.log(tail / share))
    return max(reached, float(middle) + 3 * least_spread)
