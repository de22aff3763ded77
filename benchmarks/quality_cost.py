"""What the quality gate takes of a frame's time, and at which size it should look."""

import statistics
import time
from collections.abc import Callable, Sequence

import cv2
import numpy as np

from benchmarks.quality_line import Model, shots
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.decoding import decode
from edge_runtime.drift.statistics import measure
from edge_runtime.preprocessing import fit
from edge_runtime.quality.gate import QualityGate
from edge_runtime.quality.measures import read

_LARGE = 1024
_SIGMAS = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)


def cost(reference: QualityReference, frames: Sequence[Pixels], rounds: int) -> dict[str, object]:
    """Microseconds a frame, in turns: drift alone, the gate with drift's measures, decoding."""
    gate = QualityGate(reference, live=True)
    files = [cv2.imencode(".jpg", frame)[1].tobytes() for frame in frames]
    steps: dict[str, Callable[[int], object]] = {
        "drift_alone": lambda index: measure(frames[index]),
        "gate_with_drift": lambda index: gate.examine(frames[index]),
        "decode": lambda index: decode(files[index]),
    }
    took: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            began = time.process_time()
            for index in range(len(frames)):
                step(index)
            took[name].append((time.process_time() - began) / len(frames) * 1e6)
    turns = zip(*took.values(), strict=True)
    shares = [(together - alone) / decoding for alone, together, decoding in turns]
    return {
        "us": {name: statistics.median(values) for name, values in took.items()},
        "gate_over_decoding": statistics.median(shares),
    }


def sizes(model: Model, count: int) -> dict[str, object]:
    """Whether blur is better seen in the camera's pixels or at the model's size, and which matters.

    Limits are the lowest hundredth of the sharp frames, half of them defective.
    """
    spec = InputSpec()
    parts = shots(71, count, smeared=0.0, defects=0.5, size=_LARGE, stride=4)
    good = np.array([part.good for part in parts])
    frames = [part.pixels for part in parts]
    fitted = [fit(frame, spec) for frame in frames]
    lowest = [np.quantile([_crispness(frame) for frame in of], 0.01) for of in (frames, fitted)]
    rows = []
    for sigma in _SIGMAS:
        blurred = [
            np.asarray(cv2.GaussianBlur(f, (0, 0), sigma), np.uint8) if sigma else f for f in frames
        ]
        small = [fit(frame, spec) for frame in blurred]
        outcomes = model.outcomes(small)
        ok, wrong = (
            np.array([outcome is wanted for outcome in outcomes])
            for wanted in (Outcome.OK, Outcome.DEFECT)
        )
        rows.append(
            {
                "sigma_camera_px": sigma,
                "sigma_model_px": sigma * spec.width / _LARGE,
                "caught_in_camera_pixels": _share_below(blurred, lowest[0]),
                "caught_at_model_size": _share_below(small, lowest[1]),
                "defective_answered_ok": float(ok[~good].mean()),
                "good_answered_defect": float(wrong[good].mean()),
            }
        )
    return {
        "camera": f"{_LARGE}x{_LARGE}",
        "frames": count,
        "rows": rows,
        "read_us_in_camera_pixels": _read_us(frames[0]),
        "read_us_at_model_size": _read_us(fitted[0]),
    }


def _crispness(pixels: Pixels) -> float:
    seen = measure(pixels)
    return seen.sharpness - float(np.log2(seen.brightness + 1))


def _share_below(frames: Sequence[Pixels], lowest: float) -> float:
    return float(np.mean([_crispness(frame) < lowest for frame in frames]))


def _read_us(pixels: Pixels) -> float:
    took = []
    for _ in range(50):
        began = time.process_time()
        read(pixels)
        took.append(time.process_time() - began)
    return statistics.median(took) * 1e6
