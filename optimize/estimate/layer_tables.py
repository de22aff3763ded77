"""Tables of layers for people: the costliest of an estimate, all of a bundle's variants.

Text from values; prints nothing.
"""

from collections.abc import Mapping, Sequence

from optimize.estimate.devices import Device
from optimize.estimate.layers import Layer, Precision
from optimize.estimate.network import Network
from optimize.estimate.reckoning import Estimate
from optimize.estimate.roofline import Bound, bounds, total
from optimize.report import columns

_HEADS = ("layer", "kind", "output", "MMACs", "weights kB", "moved kB", "limit")
"""Of every table; what is moved are an image's activations."""
_WIDEST_NAME = 34


def costliest(estimate: Estimate, count: int) -> str:
    """The layers that an estimate gives most to, and what is left for the others."""
    whole = sum(cost.seconds for cost in estimate.costs)
    chosen = estimate.dominating(count)
    rows = [
        [
            *_row(cost.bound, estimate.precision),
            f"{cost.seconds / estimate.batch * 1000:.4f}",
            f"{cost.seconds / whole:.1%}",
        ]
        for cost in chosen
    ]
    table = columns([*_HEADS, "ms/image", "share"], rows)
    rest = len(estimate.costs) - len(chosen)
    if not rest:
        return table
    left = 1 - sum(cost.seconds for cost in chosen) / whole
    return f"{table}\nand {rest} more with {left:.0%}"


def of_variants(variants: Mapping[str, Network], device: Device, batch: int) -> str:
    """Every layer of every variant in the type that its file gives it, each variant under its sums."""
    parts = [
        f"{_sums(network, device, batch)}\n\n{_of_variant(network, device, batch)}"
        for network in variants.values()
    ]
    meaning = (
        f"share: of the variant's bound on {device.name} at batch {batch}, that is, of its time at "
        "best. A bound is no measurement."
    )
    return "\n\n".join([*parts, meaning])


def shape(sizes: Sequence[int]) -> str:
    """As `1x256x256x3`."""
    return "x".join(map(str, sizes)) or "1"


def _of_variant(network: Network, device: Device, batch: int) -> str:
    found = bounds(network.layers, device, batch)
    whole = total(found)
    rows = [
        [*_row(bound), bound.layer.precision, f"{bound.seconds / whole:.1%}"] for bound in found
    ]
    return columns([*_HEADS, "type", "share"], rows)


def _sums(network: Network, device: Device, batch: int) -> str:
    """How many layers of a variant, and how much of its work, are of which type."""
    parts = []
    for precision in Precision:
        own = [layer for layer in network.layers if layer.precision is precision]
        if own:
            share = sum(layer.macs for layer in own) / max(1, network.macs)
            parts.append(f"{len(own)} {precision} ({share:.1%} of the MACs)")
    weights = sum(layer.weight_bytes() for layer in network.layers)
    moved = sum(layer.activation_bytes(1) for layer in network.layers)
    milliseconds = total(bounds(network.layers, device, batch)) / batch * 1000
    return (
        f"{network.name}: {len(network.layers)} fused layers, {', '.join(parts)}; weights "
        f"{weights / 1e6:.2f} MB, activations {moved / 1e6:.2f} MB an image; bound {milliseconds:.3f} "
        "ms/image"
    )


def _row(bound: Bound, precision: Precision | None = None) -> list[str]:
    layer = bound.layer
    return [
        _name(layer),
        layer.kind,
        shape(layer.given[1:]),
        f"{layer.macs / 1e6:.1f}",
        f"{layer.weight_bytes(precision) / 1000:.1f}",
        f"{layer.activation_bytes(1, precision) / 1000:.0f}",
        bound.limit,
    ]


def _name(layer: Layer) -> str:
    name = layer.name
    return name if len(name) <= _WIDEST_NAME else f"...{name[3 - _WIDEST_NAME :]}"
