"""An estimate: a network on a device, with its bound, its interval and the layers that dominate.

Values in, values out. What stands behind an estimate is carried with it: where the fit was made on
another device, or knows nothing of a kind of layer, the estimate says so.
"""

from collections.abc import Set
from dataclasses import dataclass

from optimize.estimate.devices import Device
from optimize.estimate.efficiency import Calibration
from optimize.estimate.layers import Kind, Precision
from optimize.estimate.network import Network
from optimize.estimate.roofline import Bound, bounds, total


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
    """No implementation that moves each activation once is faster."""
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

    def dominating(self, count: int) -> tuple[Cost, ...]:
        """The layers that cost most, the costliest first."""
        return tuple(sorted(self.costs, key=lambda cost: -cost.seconds)[:count])

    def verdict(self, limit_ms: float) -> str:
        """Whether a limit per image is held, as surely as the interval tells."""
        if self.bound_ms > limit_ms:
            return "cannot fit: the bound alone is above the limit"
        if self.high_ms <= limit_ms:
            return "fits, at the interval's upper end too"
        if self.low_ms > limit_ms:
            return "does not fit, at the interval's lower end either"
        return "open: the limit lies within the interval"


def estimate(
    network: Network,
    device: Device,
    precision: Precision,
    batch: int,
    calibration: Calibration,
    *,
    fitted_on: Device,
    known: Set[Kind],
) -> Estimate:
    """Every layer at that precision; `known` are the kinds of layers among the fit's results."""
    least = bounds(network.layers, device, batch, precision)
    efficiency = calibration.efficiency
    costs = tuple(
        Cost(bound=bound, seconds=efficiency.seconds(1, bound.seconds)) for bound in least
    )
    seconds = sum(cost.seconds for cost in costs)
    untried = sum(cost.seconds for cost in costs if cost.bound.layer.kind not in known)
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
        fitted_here=device == fitted_on,
        untried=untried / seconds,
    )
