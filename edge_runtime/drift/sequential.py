"""Sequential tests that may run for ever: evidence for a change, with a bound on false detections.

Every test multiplies e-values, numbers whose expectation is at most 1 while nothing has changed, and
starts anew whenever their product falls below 1: Page's CUSUM (Biometrika 41, 1954) on the logarithm.
When it crosses ln A, a change is detected, and without a change that happens after A steps or more on
average: Lorden, Annals of Mathematical Statistics 42 (1971), for likelihood ratios; Shin, Ramdas and
Rinaldo, "E-detectors" (2023), for every e-value. The bets on shares need no distribution, only parts
whose expectation is tolerated whatever came before; the steps for means take block means to be normal.
Values in, values out; no clock.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.drift.state import State, take_over
from edge_runtime.drift.window import BLOCK

Floats = npt.NDArray[np.float64]

DAYS_BETWEEN_FALSE_DETECTIONS = 365.0
"""All tests of a monitor together; a false detection becomes an alarm only if it is large as well."""
FORGETTING = 1 / 64
"""Weight of a new block in the running estimate of how much block means scatter."""
CLIPPED_AT = 9.0
"""A squared difference counts at most so many times the present estimate: a jump is no scatter."""
_SMALLEST_FACTOR = 0.1
"""Of a bet on a fall: the share bet on is no less than this part of the tolerated one."""


def needed(tests: int, parts_per_day: float) -> float:
    """ln A with which so many tests together detect falsely once in DAYS_BETWEEN_FALSE_DETECTIONS: their
    rates add up."""
    return math.log(tests * max(1.0, DAYS_BETWEEN_FALSE_DETECTIONS * parts_per_day / BLOCK))


class Evidence:
    """Log evidence of `count` statistics for a rise (row 0) and a fall (row 1)."""

    def __init__(self, count: int, threshold: float) -> None:
        self.threshold = threshold
        """ln A."""
        self.log = np.zeros((2, count))
        self.steps = np.zeros((2, count), np.int64)
        """Blocks since the evidence last started anew: since when the change is there, if it is."""

    def add(self, increments: Floats) -> None:
        """Take in a block's log e-values (2, count)."""
        anew = self.log <= 0
        self.steps = np.where(anew, 1, self.steps + 1)
        # A cap takes evidence away only, and a change of last week is not held against today.
        self.log = np.minimum(np.where(anew, 0.0, self.log) + increments, 2 * self.threshold)

    def detected(self) -> npt.NDArray[np.bool_]:
        """Where the evidence suffices, (2, count)."""
        return np.asarray(self.log >= self.threshold)

    def forget(self, index: int) -> None:
        """Start one statistic anew."""
        self.log[:, index] = 0.0
        self.steps[:, index] = 0

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The evidence so far, by name."""
        return {"log": self.log, "steps": self.steps}

    def resume(self, state: State) -> None:
        """Go on from evidence about the same; raises ValueError where it is about other statistics."""
        take_over(self.state(), state)


class Scatter:
    """How much block means scatter, from successive differences: slow movement does not enter.

    Parts that follow each other are alike, so block means scatter more than independent parts would.
    The estimate is never below `floor` (count,), the variance that independent groups would give.
    """

    def __init__(self, floor: Floats) -> None:
        self._floor = floor
        self._variance = floor.copy()
        self._last = np.full_like(floor, np.nan)

    @property
    def variance(self) -> Floats:
        """Of a block mean, (count,)."""
        return np.maximum(self._variance, self._floor)

    def add(self, means: Floats) -> None:
        """Take in a block's means (count,)."""
        if not np.isnan(self._last).any():
            squared = (means - self._last) ** 2 / 2
            limited = np.minimum(squared, CLIPPED_AT * self.variance)
            self._variance += FORGETTING * (limited - self._variance)
        self._last[:] = means

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The estimate so far, by name."""
        return {"variance": self._variance, "last": self._last}

    def resume(self, state: State) -> None:
        """Go on from an estimate of the same; raises ValueError where it is of other statistics."""
        take_over(self.state(), state)


def mean_steps(shift: Floats, variance: Floats, tolerated: Floats, sought: Floats) -> Floats:
    """Log e-values (2, count) of block means `shift` away from the reference, all (count,).

    The likelihood ratio of a mean shifted by `sought` against one shifted by `tolerated`, either way:
    an e-value for every shift up to `tolerated`.
    """
    bet = (sought - tolerated) / variance
    middle = (sought + tolerated) / 2
    return np.stack((bet * (shift - middle), bet * (-shift - middle)))


def share_steps(values: Floats, tolerated: Floats, sought: Floats) -> Floats:
    """Log e-values (2, count) of a block of values (parts, count) between 0 and 1.

    NaN is no value and no evidence. `tolerated` and `sought` are (2, count): the highest tolerated mean
    and a higher one, the lowest tolerated mean and a lower one. A part's e-value is the bet
    1 + b (x - tolerated), which for shares is the likelihood ratio of the two, and for scores in between
    holds whatever their distribution.
    """
    sought = np.maximum(sought, _SMALLEST_FACTOR * tolerated)
    span = tolerated * (1 - tolerated)
    bet = np.where(span > 0, (sought - tolerated) / np.where(span > 0, span, 1.0), 0.0)
    return np.asarray(
        np.nansum(np.log1p(bet[:, None] * (values[None] - tolerated[:, None])), axis=1)
    )
