"""How long things took, counted in classes: what a histogram of Prometheus is made from.

Fixed classes, so that a station of months costs the same memory as one of minutes. Not locked.
"""

from bisect import bisect_left
from dataclasses import dataclass

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper ends of the classes, seconds: an engine's milliseconds at one end, a tired disk at the other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Durations counted so far."""

    counts: tuple[int, ...]
    """How many lay in each class of `BOUNDS_S`, and last how many beyond; not cumulative."""
    total_s: float
    """Their sum, seconds."""


class Stopwatch:
    """Counts durations."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._total_s = 0.0

    def count(self, seconds: float) -> None:
        """One more; what lies on the upper end of a class belongs to it."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._total_s += seconds

    def read(self) -> Distribution:
        """What was counted so far."""
        return Distribution(counts=tuple(self._counts), total_s=self._total_s)
