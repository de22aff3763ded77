"""How much block means of many values scatter together: `sequential.Scatter` in every direction.

Values in, values out.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.drift.sequential import CLIPPED_AT, FORGETTING
from edge_runtime.drift.state import State, take_over

Floats = npt.NDArray[np.float64]


class Spread:
    """Covariance of block means, from successive differences: slow movement does not enter.

    In no direction is it taken to be below `floor`, the variance that independent groups would give.
    """

    def __init__(self, count: int, floor: float) -> None:
        self._floor = floor
        self._covariance = floor * np.eye(count)
        self._last = np.full(count, np.nan)

    @property
    def total(self) -> float:
        """Sum of the variances of all values."""
        return float(np.maximum(self._covariance.diagonal(), self._floor).sum())

    def along(self, direction: Floats) -> float:
        """Variance of a block mean along a direction (count,) of length 1."""
        return max(float(direction @ self._covariance @ direction), self._floor)

    def add(self, means: Floats) -> None:
        """Take in a block's means (count,)."""
        if not np.isnan(self._last).any():
            # A jump is no scatter: each difference counts up to so many times the present estimate.
            limit = np.sqrt(2 * CLIPPED_AT * np.maximum(self._covariance.diagonal(), self._floor))
            change = np.clip(means - self._last, -limit, limit)
            self._covariance += FORGETTING * (np.outer(change, change) / 2 - self._covariance)
        self._last[:] = means

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """The estimate so far, by name."""
        return {"covariance": self._covariance, "last": self._last}

    def resume(self, state: State) -> None:
        """Go on from an estimate of the same; raises ValueError where it is of other statistics."""
        take_over(self.state(), state)
