"""What a start is worth in labels: where one learning curve reaches what another has already.

Arrays in, values out. Curves are straight between their points over the logarithm of the labels; a dip
is passed over, since nobody is forced to use more labels than serve.
"""

import math

import numpy as np

from edge_runtime.contracts.base import Contract
from optimize.bounds import Real


class Labels(Contract):
    """How many labels a curve needs, with an interval."""

    value: float | None
    """None: more than its last point has."""
    low: float | None
    high: float | None
    """None likewise."""
    at_most: bool
    """Whether the first point of the curve does already: fewer labels might."""


def labels_needed(labels: Real, curve: Real, target: Real) -> Real:
    """The fewest labels at which each draw's curve reaches its target, (draws,).

    `labels` (points,) ascends; `curve` is (draws, points), `target` (draws,). The first point's labels
    where that one suffices, infinity where none does or the target is undefined.
    """
    if (np.diff(labels) <= 0).any():
        raise ValueError(f"labels must ascend, got {labels.tolist()}")
    reached = np.fmax.accumulate(curve, axis=1)  # a point that is undefined is passed over
    enough = reached >= target[:, None]
    first = enough.argmax(axis=1)
    rows = np.arange(len(curve))
    before = np.maximum(first - 1, 0)
    low, high = reached[rows, before], reached[rows, first]
    rise = high - low
    way = np.divide(target - low, rise, out=np.ones_like(rise), where=rise > 0)
    places = np.log(labels)
    found = np.exp(places[before] + way * (places[first] - places[before]))
    found = np.where(first == 0, labels[0], found)
    return np.where(enough.any(axis=1), found, math.inf)


def estimate_labels(needed: Real, smallest: float, confidence: float) -> Labels:
    """Row 0 as the value, the order statistics of the other rows as the interval."""
    tail = (1 - confidence) / 2
    # Order statistics and no interpolation: between a number and infinity there is nothing.
    low = np.quantile(needed[1:], tail, method="lower")
    high = np.quantile(needed[1:], 1 - tail, method="higher")
    finite = [None if math.isinf(number) else float(number) for number in (needed[0], low, high)]
    return Labels(value=finite[0], low=finite[1], high=finite[2], at_most=finite[0] == smallest)
