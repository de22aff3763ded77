"""Six backbones estimated on a T4, and the fit behind it: `python -m benchmarks.estimate`.

Nothing is measured and nothing is random: the same on every machine, from the layer tables alone.
"""

import os
from typing import Final

from benchmarks.setting import RESULTS, write_result
from optimize.estimate.efficiency import fit
from optimize.estimate.layers import Precision, from_json
from optimize.estimate.network import Network
from optimize.estimate.published import table
from optimize.estimate.reckoning import Estimate, estimate
from optimize.estimate.roofline import bounds, total
from optimize.estimate.statement import fit_values

LAYERS: Final = RESULTS / "layers"
"""Where the backbones' layer tables lie, as `benchmarks.estimate_layers` writes them."""
BACKBONES: Final = (
    "tf_efficientnet_lite0",
    "mobilenetv4_conv_small",
    "efficientnet_b0",
    "resnet18",
    "resnet50",
    "convnext_tiny",
)
SIDE: Final = 256
BATCH: Final = 32


def backbone(model: str, precision: Precision) -> Estimate:
    """One of BACKBONES on the T4."""
    layers = from_json((LAYERS / f"{model}.json").read_text(encoding="utf-8"))
    return estimate(
        Network(name=model, taken=(1, SIDE, SIDE, 3), layers=layers),
        table.basis().device,
        precision,
        BATCH,
        table.basis(),
    )


def across_software() -> list[float]:
    """Predicted over published for MLPerf's results, from a fit to the others alone."""
    tuned = [r for r in table.results() if r.source.startswith("MLPerf")]
    fitted = fit([r for r in table.results() if r not in tuned])
    return [fitted.of(r) / r.seconds for r in tuned]


def without_source() -> dict[str, float]:
    """ResNet-18 in FP16 at 3,987 images a second: its source, and so its harness, is not known."""
    layers, batch = table.layers("resnet18"), 32
    bound = total(bounds(layers, table.basis().device, batch, Precision.FP16))
    efficiency = table.basis().calibration.efficiency
    return {
        "published_ms": round(batch / 3987 * 1000, 3),
        "predicted_ms": round(efficiency.seconds(len(layers), bound) * 1000, 3),
        "predicted_with_copies_ms": round(efficiency.seconds(len(layers), bound, batch) * 1000, 3),
    }


def result() -> dict[str, object]:
    """What is written: estimates rounded to a tenth of a microsecond, ratios to a thousandth."""
    calibration = table.basis().calibration
    return {
        "command": "python -m benchmarks.estimate",
        "measured": False,
        "device": table.basis().device.name,
        "batch": BATCH,
        "side": SIDE,
        "fit": {name: round(value, 3) for name, value in fit_values(calibration).items()},
        "published": [
            {
                "network": r.network,
                "precision": r.precision,
                "batch": r.batch,
                "published_ms": round(r.seconds * 1000, 4),
                "bound_ms": round(r.bound * 1000, 4),
                "without_point": round(without_point, 3),
                "without_network": round(without_network, 3),
                "source": r.source,
            }
            for r, without_point, without_network in zip(
                calibration.results,
                calibration.without_point,
                calibration.without_network,
                strict=True,
            )
        ],
        "mlperf_from_paddleclas": [round(ratio, 3) for ratio in across_software()],
        "resnet18_fp16_batch_32": without_source(),
        "backbones": [
            {
                "network": model,
                "layers": len(found[Precision.INT8].network.layers),
                "mmacs": round(found[Precision.INT8].network.macs / 1e6),
                "untried": round(found[Precision.INT8].untried, 3),
                **{
                    precision: {
                        "bound_ms": round(one.bound_ms, 4),
                        "estimate_ms": round(one.ms, 4),
                        "low_ms": round(one.low_ms, 4),
                        "high_ms": round(one.high_ms, 4),
                    }
                    for precision, one in found.items()
                },
            }
            for model in BACKBONES
            for found in [{precision: backbone(model, precision) for precision in Precision}]
        ],
    }


if __name__ == "__main__":
    print(f"written to {os.path.relpath(write_result('estimate', result()))}")
