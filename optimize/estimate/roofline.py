"""The least time that a device needs: per layer the longer of computing and moving.

A bound, not an estimate: every operation at the peak rate, every activation read once and written
once, weights read once per batch, nothing between the layers.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from optimize.estimate.devices import Device
from optimize.estimate.layers import Layer, Precision


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """The least time of one layer for one batch, in seconds."""

    layer: Layer
    compute: float
    memory: float

    @property
    def seconds(self) -> float:
        """The longer of the two: they can overlap and cannot be had for less."""
        return max(self.compute, self.memory)

    @property
    def limit(self) -> str:
        """`compute` or `memory`, whichever takes longer."""
        return "compute" if self.compute > self.memory else "memory"


def bound(layer: Layer, device: Device, batch: int, precision: Precision | None = None) -> Bound:
    """The bound of one layer, at the file's own precision unless another is named."""
    kept = precision or layer.precision
    moved = layer.weight_bytes(kept) + layer.activation_bytes(batch, kept)
    return Bound(
        layer=layer,
        compute=2 * layer.macs * batch / device.peaks[kept],
        memory=moved / device.bandwidth,
    )


def bounds(
    layers: Iterable[Layer], device: Device, batch: int, precision: Precision | None = None
) -> tuple[Bound, ...]:
    """The bounds of all layers, in their order."""
    return tuple(bound(layer, device, batch, precision) for layer in layers)


def total(found: Iterable[Bound]) -> float:
    """Seconds for the batch: layers run one after another."""
    return sum(bound.seconds for bound in found)
