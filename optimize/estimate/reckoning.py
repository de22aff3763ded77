"""An estimate: a network on a device, with its bound, its interval and the layers that dominate.

Values in, values out. What stands behind an estimate is carried with it: where the fit was made on
another device, or knows nothing of a kind of layer, the estimate says so.
"""

from dataclasses import dataclass
from enum import StrEnum

from optimize.estimate.devices import Device
from optimize.estimate.efficiency import Calibration
from optimize.estimate.layers import Kind, Precision
from optimize.estimate.network import Network
from optimize.estimate.roofline import Bound, bounds, total


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What estimates stand on."""

    calibration: Calibration
    device: Device
    """That the results of the fit are of."""
    kinds: frozenset[Kind]
    """Of layers that the results are of; the fit knows nothing of others."""


class Verdict(StrEnum):
    """Whether a limit is held, as surely as the interval tells."""

    FITS = "fits"
    """At the interval's upper end too."""
    OPEN = "open"
    TOO_SLOW = "too slow"
    """At the interval's lower end too."""
    IMPOSSIBLE = "impossible"
    """The bound alone is above the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one layer is estimated to take of a batch."""

    bound: Bound
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Milliseconds are per image, of engine time with the frames on the device."""

    network: Network
    device: Device
    precision: Precision
    batch: int
    bound_ms: float
    """What no engine undercuts that moves each activation to memory and back once."""
    ms: float
    low_ms: float
    """Lower end of the interval, never below the bound."""
    high_ms: float
    costs: tuple[Cost, ...]
    """Of every layer, in their order."""
    fitted_here: bool
    """Whether the fit was made on results of this device."""
    untried: float
    """Share of the estimate in kinds of layers that no result of the fit has."""
    cached: float
    """Share of the bound in layers that move no more than the last cache holds."""

    def dominating(self, count: int) -> tuple[Cost, ...]:
        """The layers that cost most, the costliest first."""
        return tuple(sorted(self.costs, key=lambda cost: -cost.seconds)[:count])

    def verdict(self, limit_ms: float) -> Verdict:
        """Whether a limit per image is held."""
        if self.bound_ms > limit_ms:
            return Verdict.IMPOSSIBLE
        if self.high_ms <= limit_ms:
            return Verdict.FITS
        return Verdict.TOO_SLOW if self.low_ms > limit_ms else Verdict.OPEN


def estimate(
    network: Network, device: Device, precision: Precision, batch: int, basis: Basis
) -> Estimate:
    """What the network costs with every layer at that precision."""
    least = bounds(network.layers, device, batch, precision)
    calibration = basis.calibration
    efficiency = calibration.efficiency
    costs = tuple(
        Cost(bound=bound, seconds=efficiency.seconds(1, bound.seconds)) for bound in least
    )
    seconds = sum(cost.seconds for cost in costs)
    untried = sum(cost.seconds for cost in costs if cost.bound.layer.kind not in basis.kinds)
    per_image = 1000 / batch
    bound_ms, ms = total(least) * per_image, seconds * per_image
    return Estimate(
        network=network,
        device=device,
        precision=precision,
        batch=batch,
        bound_ms=bound_ms,
        ms=ms,
        low_ms=max(bound_ms, ms / calibration.factor),
        high_ms=ms * calibration.factor,
        costs=costs,
        fitted_here=device == basis.device,
        untried=untried / seconds,
        cached=_cached(least, device) / total(least),
    )


def _cached(least: tuple[Bound, ...], device: Device) -> float:
    """Seconds of those that are bound by memory and yet need not go there."""
    held = (device.l2 or 0) / device.bandwidth
    return sum(bound.memory for bound in least if bound.compute < bound.memory <= held)
