"""What an estimate says, in words and as plain values, with what it does not know.

Text and values from values; prints nothing.
"""

from collections.abc import Sequence
from typing import Any

from optimize.estimate.efficiency import COVERAGE, Calibration
from optimize.estimate.layer_tables import costliest, shape
from optimize.estimate.reckoning import Cost, Estimate, Verdict
from optimize.report import columns

_VERDICTS = {
    Verdict.FITS: "fits, at the interval's upper end too",
    Verdict.OPEN: "open: it lies within the interval",
    Verdict.TOO_SLOW: "missed, at the interval's lower end too",
    Verdict.IMPOSSIBLE: "impossible: the bound alone is above it",
}
_WORTH_SAYING = 0.1
"""Share of the bound in cached layers."""


def in_words(
    estimates: Sequence[Estimate], calibration: Calibration, limit_ms: float, top: int
) -> str:
    """Estimates of one network on one device at several precisions; `top` layers of the first."""
    first = estimates[0]
    network = first.network
    rows = [
        [
            e.precision,
            f"{e.bound_ms:.3f}",
            f"{e.ms:.3f}",
            f"{e.low_ms:.3f} to {e.high_ms:.3f}",
            f"{e.ms * e.batch:.2f}",
            _VERDICTS[e.verdict(limit_ms)],
        ]
        for e in estimates
    ]
    interval = f"{COVERAGE:.0%} interval"
    lines = [
        (
            f"estimate for {network.name} {shape(network.taken)} on {first.device.name}, batch "
            f"{first.batch}: {len(network.layers)} fused layers, {network.macs / 1e6:,.0f} MMACs, "
            f"{network.weights / 1e6:.1f} M weights"
        ),
        "",
        columns(
            ["ms/image", "bound", "estimate", interval, "a batch", f"limit {limit_ms:g}"], rows
        ),
        "",
        f"costliest layers at {first.precision}, share of the estimate:",
        costliest(first, top),
        "",
        *_caveats(first, calibration),
    ]
    return "\n".join(lines)


def as_values(
    estimates: Sequence[Estimate], calibration: Calibration, limit_ms: float
) -> dict[str, Any]:
    """The same for JSON, with every layer."""
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
                "cached_share": e.cached,
                "layers": [_layer_values(cost, e) for cost in e.costs],
            }
            for e in estimates
        ],
    }


def fit_values(calibration: Calibration) -> dict[str, float]:
    """A fit and its errors as plain values."""
    efficiency = calibration.efficiency
    return {
        "results": len(calibration.results),
        "networks": calibration.networks,
        "per_layer_us": efficiency.per_layer * 1e6,
        "slowdown": efficiency.slowdown,
        "per_copied_image_us": efficiency.per_copied_image * 1e6,
        "point_error": calibration.point_error,
        "network_error": calibration.network_error,
        "coverage": COVERAGE,
        "interval_factor": calibration.factor,
    }


def _caveats(first: Estimate, calibration: Calibration) -> list[str]:
    efficiency, device = calibration.efficiency, first.device
    lines = [
        f"This is an estimate: no {device.name.removeprefix('NVIDIA ')} was measured.",
        (
            f"It is {efficiency.slowdown:.2f} times the bound and {efficiency.per_layer * 1e6:.0f} us a "
            f"layer, fitted to {len(calibration.results)} published T4 results of "
            f"{calibration.networks} networks."
        ),
        (
            "The interval is from leaving one network out at a time, which misses it by a factor of "
            f"{calibration.network_error:.2f}."
        ),
        "Decoding, and copying frames to the device, are not in it.",
    ]
    if not first.fitted_here:
        lines.append(
            f"Of {device.name} the peaks alone are known ({device.source}): that a T4's efficiency "
            "holds there is an assumption, which the interval does not cover."
        )
    if first.untried:
        lines.append(
            f"{first.untried:.0%} of it is in kinds of layers that none of those networks has, and less "
            "certain than the interval says."
        )
    if first.cached >= _WORTH_SAYING and device.l2:
        lines.append(
            f"{first.cached:.0%} of the bound at {first.precision} is in layers that move no more than "
            f"the {device.l2 >> 20} MiB of its last cache: there an engine may be faster than the bound."
        )
    if first.network.unknown:
        lines.append(
            "Counted by their memory traffic alone, since their arithmetic is not known here: "
            f"{', '.join(first.network.unknown)}."
        )
    return lines


def _layer_values(cost: Cost, estimate: Estimate) -> dict[str, Any]:
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
