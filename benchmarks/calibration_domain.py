"""Is a calibration set of another kind noticed? `python -m benchmarks.calibration_domain`.

`optimize.calibration.domain` is asked about many calibration and validation sets, drawn anew each time
from sound crops of the simulated line, every class alike: calibrated on one generation and validated on
the same, on the other, or calibrated on good parts alone. What each layer of the shipped model holds at
most and at least is measured once per image; the sets are drawn from that.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.setting import setting, write_result
from edge_runtime.contracts.frame import Pixels
from edge_runtime.simulation.generations import LABELS, NO_DEFECT
from edge_runtime.simulation.line import SimulatedLine
from optimize import quantize
from optimize.calibration.domain import Excess, judge_excess
from optimize.calibration.probe import probe
from optimize.graph import INPUT, FloatModel, read_model, simplify

MODEL = Path(__file__).parents[1] / "edge_runtime/bundles/weld-seam/1.0.0/float32.onnx"
SEED = 401
CASES = (("gen3", "gen3"), ("gen2", "gen2"), ("gen2", "gen3"), ("gen3", "gen2"), ("good", "gen3"))
"""What is calibrated on and validated with; `good`: crops of gen3 without a defect."""
SIZES = (16, 32, 96, 256)

Extremes = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Lowest and highest value, (images, layers) each."""


def crops(generation: str, labels: Sequence[str], count: int) -> Iterator[Pixels]:
    """Crops of the classes in turn, no two of a module."""
    line = SimulatedLine(generation, SEED)
    return (line.render(41 * index, labels[index % len(labels)]) for index in range(count))


def measure(model: FloatModel, images: Iterator[Pixels]) -> Extremes:
    """Every image alone through the float model."""
    names = list(quantize.activations(model.proto))
    session = probe(model.proto, names)
    lows, highs = [], []
    for pixels in images:
        values = session.run(names, {INPUT: pixels[None]})
        lows.append([tensor.min() for tensor in values])
        highs.append([tensor.max() for tensor in values])
    return np.array(lows), np.array(highs)


def excesses(fitted: Extremes, others: Extremes) -> Mapping[str, Excess]:
    """As `measure_excess`, from extremes; how many values lie beyond is not known from them."""
    low, high = np.minimum(fitted[0].min(0), 0), np.maximum(fitted[1].max(0), 0)
    slack = (high - low) * 0.5 / 255
    above, below = (others[1] > high + slack).mean(0), (others[0] < low - slack).mean(0)
    return {
        str(layer): Excess(above=float(up), below=float(down), values=0.0)
        for layer, (up, down) in enumerate(zip(above, below, strict=True))
    }


def main() -> None:
    """All cases at all sizes; a line each, then the result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--crops", type=int, default=400, help="of each kind")
    parser.add_argument("--repeats", type=int, default=500, help="sets drawn per case and size")
    parser.add_argument("--validation", type=int, default=128, help="images validated with")
    arguments = parser.parse_args()
    result = setting("numpy", "onnxruntime")
    model = simplify(read_model(MODEL))
    kinds = {"gen2": ("gen2", LABELS), "gen3": ("gen3", LABELS), "good": ("gen3", (NO_DEFECT,))}
    known = {
        kind: measure(model, crops(generation, labels, arguments.crops))
        for kind, (generation, labels) in kinds.items()
    }
    rows = []
    for fitted, other in CASES:
        for size in SIZES:
            rng = np.random.default_rng(size)
            alarms, worst = 0, []
            for _ in range(arguments.repeats):
                # Of one kind: the first part of one shuffled order, then the last part of it.
                order = rng.permutation(arguments.crops)
                mine, theirs = order[:size], order[-arguments.validation :]
                found = excesses(
                    (known[fitted][0][mine], known[fitted][1][mine]),
                    (known[other][0][theirs], known[other][1][theirs]),
                )
                alarms += judge_excess(found, size, arguments.validation) is not None
                worst.append(max(excess.images for excess in found.values()))
            rows.append(
                {
                    "calibrated_on": fitted,
                    "validated_with": other,
                    "images": size,
                    "warned": round(alarms / arguments.repeats, 4),
                    "worst_layer_median": round(float(np.median(worst)), 3),
                    "worst_layer_most": round(float(np.max(worst)), 3),
                }
            )
            print(rows[-1], flush=True)
    result |= {
        "model": "weld-seam 1.0.0, float32",
        "validation_images": arguments.validation,
        "sets_per_row": arguments.repeats,
        "cases": rows,
    }
    print(write_result("calibration-domain", result))


if __name__ == "__main__":
    main()
