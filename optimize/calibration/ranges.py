"""From what an activation was seen to hold to the range of it that int8 shall span.

Owns the rules, each a function of one histogram. Which rule is best differs from model to model, so that
a build measures all of them; nothing here prefers one.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import StrEnum

import numpy as np

from optimize.calibration.divergence import least_divergence
from optimize.calibration.observation import Observation

_STEPS = 255
"""Between the ends of a uint8 range."""
_STEPS_SYMMETRIC = 127
"""From zero to the end of a signed range."""
_PERCENTILE = 99.99

Ranges = Mapping[str, tuple[float, float]]
"""Per activation the lowest and highest value that int8 spans; always holds zero."""


class Method(StrEnum):
    """How a range is taken from what was observed."""

    MINMAX = "minmax"
    """Everything that was seen; right where outliers carry the meaning."""
    ENTROPY = "entropy"
    """The range that keeps the distribution's shape best: least Kullback-Leibler divergence."""
    PERCENTILE = "percentile"
    """All but the outermost 0.01 % on each side."""
    ERROR = "error"
    """The range with the least mean squared error, clipping and rounding weighed together."""


def choose_ranges(observations: Mapping[str, Observation], method: Method) -> Ranges:
    """The range of every activation by one method, for codes 0..255 with a zero point of their own."""
    return {name: _RULES[method](seen, _STEPS) for name, seen in observations.items()}


def choose_symmetric(
    observations: Mapping[str, Observation], method: Method
) -> Mapping[str, float]:
    """The largest magnitude that int8 spans, per activation, for codes -127..127 around zero.

    The same rules, on the distribution of magnitudes. Never negative; 0 for what was always zero.
    """
    return {
        name: _RULES[method](_magnitudes(seen), _STEPS_SYMMETRIC)[1]
        for name, seen in observations.items()
    }


def _everything(seen: Observation, _steps: int) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: Observation, _steps: int) -> tuple[float, float]:
    share = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    outer = 1 - _PERCENTILE / 100
    centres = seen.centres
    low = centres[min(int(np.searchsorted(share, outer)), len(centres) - 1)]
    high = centres[min(int(np.searchsorted(share, 1 - outer)), len(centres) - 1)]
    # Values that end at zero, as behind a ReLU, stay exactly there.
    return min(float(low), 0.0) if seen.low < 0 else 0.0, max(float(high), 0.0)


def _entropy(seen: Observation, steps: int) -> tuple[float, float]:
    if seen.width <= 0:
        return seen.low, seen.high
    zero = min(int(-seen.low / seen.width), len(seen.counts) - 1)
    first, behind = least_divergence(seen.counts, zero, steps + 1)
    low = seen.low + first * seen.width
    high = seen.high if behind == len(seen.counts) else seen.low + behind * seen.width
    return min(low, 0.0), max(high, 0.0)


def _least_error(seen: Observation, steps: int) -> tuple[float, float]:
    def error(low: float, high: float) -> float:
        step = max(high - low, 1e-30) / steps
        rounded = np.clip(np.round((seen.centres - low) / step), 0, steps) * step + low
        return float(seen.counts @ (seen.centres - rounded) ** 2)

    return _best(seen, error)


_RULES: Mapping[Method, Callable[[Observation, int], tuple[float, float]]] = {
    Method.MINMAX: _everything,
    Method.ENTROPY: _entropy,
    Method.PERCENTILE: _percentile,
    Method.ERROR: _least_error,
}


def _best(seen: Observation, cost: Callable[[float, float], float]) -> tuple[float, float]:
    """The cheapest of ranges shrunk towards zero, both ends independently."""
    low, high = seen.low, seen.high
    if high - low <= 0:
        return low, high
    shrink = np.linspace(0.3, 1.0, 36)
    for _ in range(2):
        if seen.high > 0:
            high = min((seen.high * s for s in shrink), key=lambda end: cost(low, end))
        if seen.low < 0:
            low = min((seen.low * s for s in shrink), key=lambda end: cost(end, high))
    return float(low), float(high)


def _magnitudes(seen: Observation) -> Observation:
    """The same values without their signs; a bin stays as wide as it was, or nearly so."""
    if seen.low >= 0 or seen.width <= 0:
        return seen
    high = max(-seen.low, seen.high)
    bins = max(1, round(high / seen.width))
    places = (np.abs(seen.centres) * (bins / high)).astype(np.intp)
    counts = np.zeros(bins, np.int64)
    np.add.at(counts, np.minimum(places, bins - 1), seen.counts)
    return replace(seen, low=0.0, high=high, counts=counts)
