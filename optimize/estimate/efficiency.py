"""How far above its bound a network runs, fitted to results that others published or we measured.

Owns the model: a batch takes `per_layer` seconds for every layer plus `slowdown` times the bound; where
the result includes copying frames to the device, plus `per_copied_image` for each. Three numbers, fitted
to the logarithm of time, so that a factor counts alike at every size. Its error is stated by leaving
out: a point at a time, and a network at a time, which is what an estimate of a new network is like.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.stats import t as student

from optimize.estimate.layers import Precision

COVERAGE = 0.9
"""Share of new networks that the interval is meant to hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measured time, with what the roofline says of it."""

    network: str
    precision: Precision
    batch: int
    seconds: float
    """For the whole batch."""
    copied: bool
    """Whether the time includes copying float32 frames to the device."""
    source: str
    layers: int
    bound: float
    """Seconds for the whole batch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """The three numbers."""

    per_layer: float
    """Seconds that every layer costs beside its work: the launch, the tail of a grid that empties."""
    slowdown: float
    """Times the bound."""
    per_copied_image: float
    """Seconds; no part of an estimate, which is of frames that lie on the device."""

    def seconds(self, layers: int, bound: float, copied_images: int = 0) -> float:
        """For a batch whose bound is given."""
        return (
            self.per_layer * layers + self.slowdown * bound + self.per_copied_image * copied_images
        )

    def of(self, result: Result) -> float:
        """What the model says of a result, in seconds."""
        return self.seconds(result.layers, result.bound, result.batch * result.copied)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A fit with its error."""

    efficiency: Efficiency
    results: tuple[Result, ...]
    without_point: tuple[float, ...]
    """Predicted over measured for each result, from a fit without it."""
    without_network: tuple[float, ...]
    """The same, from a fit without all results of its network."""

    @property
    def networks(self) -> int:
        """How many different ones the results are of."""
        return len({result.network for result in self.results})

    @property
    def point_error(self) -> float:
        """Typical factor (root mean square of logarithms) by which a left-out point is missed."""
        return math.exp(_rms(self.without_point))

    @property
    def network_error(self) -> float:
        """The same for left-out networks."""
        return math.exp(_rms(self.without_network))

    @property
    def factor(self) -> float:
        """An estimate's interval reaches from it divided by this to it times this.

        Results of one network err alike, so the spread is as good as the number of networks tells.
        """
        quantile = float(student.ppf((1 + COVERAGE) / 2, self.networks - 1))
        return math.exp(quantile * _rms(self.without_network))


def calibrate(results: Sequence[Result]) -> Calibration:
    """Fit the model to results of at least two networks and leave each out in turn."""
    return Calibration(
        efficiency=fit(results),
        results=tuple(results),
        without_point=_left_out(results, lambda result, other: other is result),
        without_network=_left_out(results, lambda result, other: other.network == result.network),
    )


def fit(results: Sequence[Result]) -> Efficiency:
    """The numbers that miss the results by the least factors."""
    terms = np.array([[r.layers, r.bound, r.batch * r.copied] for r in results], np.float64)
    measured = np.log([r.seconds for r in results])
    used = terms.any(axis=0)

    def residuals(logarithms: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.log(terms[:, used] @ np.exp(logarithms)) - measured

    found = np.zeros(3)
    found[used] = np.exp(least_squares(residuals, np.log(_START[used])).x)
    return Efficiency(
        per_layer=float(found[0]), slowdown=float(found[1]), per_copied_image=float(found[2])
    )


_START = np.array([1e-5, 1.5, 1e-4])


def _left_out(
    results: Sequence[Result], same: Callable[[Result, Result], bool]
) -> tuple[float, ...]:
    ratios = []
    for result in results:
        others = [other for other in results if not same(result, other)]
        ratios.append(fit(others).of(result) / result.seconds)
    return tuple(ratios)


def _rms(ratios: Sequence[float]) -> float:
    return math.sqrt(sum(math.log(ratio) ** 2 for ratio in ratios) / len(ratios))
