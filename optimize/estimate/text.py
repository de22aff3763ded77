"""What people read of layers and estimates. Text and plain values from values; prints nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from optimize.estimate.devices import Device
from optimize.estimate.efficiency import COVERAGE, Calibration
from optimize.estimate.estimate import Cost, Estimate
from optimize.estimate.layers import Layer, Precision
from optimize.estimate.network import Network
from optimize.estimate.roofline import Bound, bounds, total
from optimize.report import columns

_HEADS = ("layer", "kind", "output", "MMACs", "weights kB", "moved kB", "limit")
"""Of every layer table; `moved` is activations per image."""
_WIDEST_NAME = 34


def describe(
    estimates: Sequence[Estimate], calibration: Calibration, limit_ms: float, top: int
) -> str:
    """Estimates of one network on one device, the first with its dominating layers."""
    first = estimates[0]
    network, device = first.network, first.device
    lines = [
        (
            f"estimate for {network.name} {_shape(network.taken)} on {device.name}, batch "
            f"{first.batch}: {len(network.layers)} fused layers, {network.macs / 1e6:,.0f} MMACs, "
            f"{network.weights / 1e6:.1f} M weights"
        ),
        "",
        columns(
            [
                "precision",
                "bound",
                "estimate",
                f"{COVERAGE:.0%} interval",
                "batch ms",
                "ms per image",
            ],
            [
                [
                    e.precision,
                    f"{e.bound_ms:.3f}",
                    f"{e.ms:.3f}",
                    f"{e.low_ms:.3f} to {e.high_ms:.3f}",
                    f"{e.ms * e.batch:.2f}",
                    f"limit {limit_ms:g}: {e.verdict(limit_ms)}",
                ]
                for e in estimates
            ],
        ),
        "",
        f"costliest layers at {first.precision}, share of the estimate:",
        costs_table(first, top),
        "",
        *_caveats(first, calibration),
    ]
    return "\n".join(lines)


def costs_table(estimate: Estimate, top: int) -> str:
    """The `top` costliest layers; the rest in one line."""
    whole = sum(cost.seconds for cost in estimate.costs)
    chosen = estimate.dominating(top)
    rows = [_cost_row(cost, estimate, whole) for cost in chosen]
    table = columns([*_HEADS, "ms/image", "share"], rows)
    rest = len(estimate.costs) - len(chosen)
    if not rest:
        return table
    left = 1 - sum(cost.seconds for cost in chosen) / whole
    return f"{table}\nand {rest} more with {left:.0%}"


def variant_table(network: Network, device: Device, batch: int) -> str:
    """All layers of one variant as its file has them: what is int8, what stayed float."""
    found = bounds(network.layers, device, batch)
    whole = total(found)
    rows = [
        [*_layer_row(bound), bound.layer.precision, f"{bound.seconds / whole:.1%}"]
        for bound in found
    ]
    return columns([*_HEADS, "type", "share"], rows)


def variant_line(network: Network, device: Device, batch: int) -> str:
    """How many layers of a variant, and how much of its work, are of which type."""
    parts = []
    for precision in Precision:
        own = [layer for layer in network.layers if layer.precision is precision]
        if own:
            macs = sum(layer.macs for layer in own) / max(1, network.macs)
            parts.append(f"{len(own)} {precision} ({macs:.1%} of the MACs)")
    weights = sum(layer.weight_bytes() for layer in network.layers)
    moved = sum(layer.activation_bytes(1) for layer in network.layers)
    bound_ms = total(bounds(network.layers, device, batch)) / batch * 1000
    return (
        f"{network.name}: {len(network.layers)} fused layers: {', '.join(parts)}; weights "
        f"{weights / 1e6:.2f} MB, activations {moved / 1e6:.2f} MB per image; bound on {device.name} "
        f"{bound_ms:.3f} ms/image at batch {batch}"
    )


def describe_variants(variants: Mapping[str, Network], device: Device, batch: int) -> str:
    """Every variant's layer table under its summary."""
    parts = [
        f"{variant_line(network, device, batch)}\n\n{variant_table(network, device, batch)}"
        for network in variants.values()
    ]
    shares = (
        "`share` is of the variant's bound on that device, weights read once per batch: where its time "
        "would go at best. A bound is no measurement."
    )
    return "\n\n".join([*parts, shares])


def to_json(
    estimates: Sequence[Estimate], calibration: Calibration, limit_ms: float
) -> dict[str, Any]:
    """The same as plain values for `--json`."""
    first = estimates[0]
    return {
        "kind": "estimate",
        "measured": False,
        "network": first.network.name,
        "input": list(first.network.taken),
        "device": first.device.key,
        "device_source": first.device.source,
        "batch": first.batch,
        "limit_ms": limit_ms,
        "mmacs": first.network.macs / 1e6,
        "fit": fit_values(calibration),
        "fitted_on_this_device": first.fitted_here,
        "unknown_operators": list(first.network.unknown),
        "estimates": [
            {
                "precision": e.precision,
                "bound_ms": e.bound_ms,
                "estimate_ms": e.ms,
                "low_ms": e.low_ms,
                "high_ms": e.high_ms,
                "verdict": e.verdict(limit_ms),
                "untried_share": e.untried,
                "layers": [_cost_values(cost, e) for cost in e.costs],
            }
            for e in estimates
        ],
    }


def fit_values(calibration: Calibration) -> dict[str, Any]:
    """A fit and its errors as plain values."""
    efficiency = calibration.efficiency
    return {
        "results": len(calibration.results),
        "networks": len({result.network for result in calibration.results}),
        "per_layer_us": efficiency.per_layer * 1e6,
        "slowdown": efficiency.slowdown,
        "per_copied_image_us": efficiency.per_copied_image * 1e6,
        "point_error": calibration.point_error,
        "network_error": calibration.network_error,
        "coverage": COVERAGE,
        "interval_factor": calibration.factor,
    }


def _caveats(first: Estimate, calibration: Calibration) -> list[str]:
    efficiency, networks = calibration.efficiency, {r.network for r in calibration.results}
    device = first.device.name
    lines = [
        f"This is an estimate: no {_short(first.device)} was measured.",
        (
            f"It is {efficiency.slowdown:.2f} times the bound and {efficiency.per_layer * 1e6:.0f} us a "
            f"layer, fitted to {len(calibration.results)} published T4 results of {len(networks)} "
            f"networks; a network left out of the fit is missed by a factor of "
            f"{calibration.network_error:.2f} (typical), hence the interval. Decoding and copying "
            "frames to the device are not in it."
        ),
    ]
    if not first.fitted_here:
        lines.append(
            f"For {device} only the peaks are known ({first.device.source}); that a T4's efficiency "
            "holds there is an assumption, and the interval does not cover it."
        )
    if first.untried:
        lines.append(
            f"{first.untried:.0%} of it is in kinds of layers that none of those networks has: "
            f"less certain than the interval says."
        )
    if first.network.unknown:
        lines.append(
            "Counted by their memory traffic alone, since their arithmetic is not known here: "
            f"{', '.join(first.network.unknown)}."
        )
    return lines


def _short(device: Device) -> str:
    return device.name.removeprefix("NVIDIA ")


def _cost_row(cost: Cost, estimate: Estimate, whole: float) -> list[str]:
    ms = cost.seconds / estimate.batch * 1000
    return [
        *_layer_row(cost.bound, estimate.precision),
        f"{ms:.4f}",
        f"{cost.seconds / whole:.1%}",
    ]


def _layer_row(bound: Bound, precision: Precision | None = None) -> list[str]:
    layer = bound.layer
    return [
        _name(layer),
        layer.kind,
        _shape(layer.given[1:]),
        f"{layer.macs / 1e6:.1f}",
        f"{layer.weight_bytes(precision) / 1000:.1f}",
        f"{layer.activation_bytes(1, precision) / 1000:.0f}",
        bound.limit,
    ]


def _cost_values(cost: Cost, estimate: Estimate) -> dict[str, Any]:
    layer, precision = cost.bound.layer, estimate.precision
    return {
        "name": layer.name,
        "kind": layer.kind,
        "operators": list(layer.operators),
        "output": list(layer.given),
        "macs": layer.macs,
        "weight_bytes": layer.weight_bytes(precision),
        "activation_bytes": layer.activation_bytes(1, precision),
        "limit": cost.bound.limit,
        "bound_ms": cost.bound.seconds / estimate.batch * 1000,
        "estimate_ms": cost.seconds / estimate.batch * 1000,
    }


def _name(layer: Layer) -> str:
    name = layer.name
    return name if len(name) <= _WIDEST_NAME else f"...{name[3 - _WIDEST_NAME :]}"


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) if math.prod(shape) else "-"
