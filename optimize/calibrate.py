"""Calibration: what values each activation takes, and which range of them int8 shall span.

Owns the observation of a float model on calibration images and the rules that turn an observed
distribution into a range. Does not touch the graph (`quantize`). Two passes over the images, the first
for the extremes and the second for histograms between them, keep memory at one small batch, whatever
the number of images; ONNX Runtime's own calibrators keep every activation of every image until the end
(3.4 GB for 64 images of a lite0).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort

from edge_runtime.contracts.frame import Pixels
from optimize.errors import CalibrationError
from optimize.graph import INPUT

FEWEST_IMAGES = 32
"""Below this many images the extremes of deep layers are chance: a warning."""
MOST_IMAGES = 512
"""More are thinned out evenly: ranges no longer move, and time grows on."""
_BINS = 2048
_LEVELS = 255
_BATCH = 4
_PERCENTILE = 99.99
_SHARES = tuple(float(share) for share in np.linspace(0.3, 1.0, 36))
"""Of an end that was seen: where the least error is looked for."""

Ranges = Mapping[str, tuple[float, float]]
"""Per activation the lowest and highest value that int8 spans; always holds zero."""


class Method(StrEnum):
    """How a range is taken from what was observed."""

    MINMAX = "minmax"
    """Everything that was seen; right where outliers carry the meaning."""
    PERCENTILE = "percentile"
    """All but the outermost 0.01 % on each side."""
    ERROR = "error"
    """The range with the least mean squared error, clipping and rounding weighed together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one activation was seen to hold, over all calibration images."""

    low: float
    high: float
    counts: npt.NDArray[np.int64]
    """(2048,) values per bin of equal width between `low` and `high`."""
    means: npt.NDArray[np.float64]
    """(channels,) mean of each channel, which is axis 1; of everything where there is no such axis."""

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """(2048,) the middle of each bin."""
        width = (self.high - self.low) / len(self.counts)
        return np.asarray(self.low + width * (np.arange(len(self.counts)) + 0.5), np.float64)


def concerns(labels: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    """What makes a calibration set doubtful, in sentences; `classes` are the model's labels."""
    seen = Counter(labels)
    absent = [label for label in classes if not seen[label]]
    found = []
    if len(labels) < FEWEST_IMAGES:
        found.append(
            f"only {len(labels)} calibration images: below {FEWEST_IMAGES} the ranges are chance"
        )
    if len(seen) == 1:
        found.append(
            f"all calibration images are of one class ({next(iter(seen)) or 'unlabelled'}): "
            "what the others excite may be clipped"
        )
    elif absent:
        found.append(f"no calibration image of {', '.join(absent)}")
    return tuple(found)


def thin(labels: Sequence[str], most: int = MOST_IMAGES) -> tuple[int, ...]:
    """Indices of at most `most` images, evenly spread over each class in proportion; rare ones stay."""
    if len(labels) <= most:
        return tuple(range(len(labels)))
    by_class: dict[str, list[int]] = {}
    for index, label in enumerate(labels):
        by_class.setdefault(label, []).append(index)
    # Round robin over the classes: a rare class gives all it has, the common ones fill the rest.
    quota = dict.fromkeys(by_class, 0)
    left = most
    while left:
        for label, members in by_class.items():
            if left and quota[label] < len(members):
                quota[label] += 1
                left -= 1
    chosen = [
        members[position]
        for label, members in by_class.items()
        for position in np.linspace(0, len(members) - 1, quota[label]).round().astype(int)
    ]
    return tuple(sorted(chosen))


def observe(
    model: onnx.ModelProto,
    activations: Sequence[str],
    images: Sequence[Pixels],
    advanced: Callable[[int], None] = lambda _images: None,
) -> Mapping[str, Observation]:
    """What the named float activations hold over all images; `advanced` hears of progress.

    It is told of every image twice, once per pass. Raises CalibrationError without images.
    """
    if not images:
        raise CalibrationError("no calibration image could be used: see the files reported above")
    session = _session(model, activations)
    lows = np.full(len(activations), np.inf)
    highs = np.full(len(activations), -np.inf)
    sums: list[npt.NDArray[np.float64] | float] = [0.0] * len(activations)
    for batch in _batches(images):
        for index, values in enumerate(session.run(list(activations), {INPUT: batch})):
            lows[index] = min(lows[index], values.min())
            highs[index] = max(highs[index], values.max())
            others = tuple(axis for axis in range(values.ndim) if axis != 1)
            sums[index] = sums[index] + values.mean(others, dtype=np.float64) * len(batch)
        advanced(len(batch))
    lows, highs = np.minimum(lows, 0), np.maximum(highs, 0)
    counts = np.zeros((len(activations), _BINS), dtype=np.int64)
    for batch in _batches(images):
        for index, values in enumerate(session.run(list(activations), {INPUT: batch})):
            width = highs[index] - lows[index]
            if width <= 0:
                continue
            # Three times faster than numpy.histogram, which sorts values out with more care.
            bins = ((values.ravel() - np.float32(lows[index])) * np.float32(_BINS / width)).astype(
                np.intp
            )
            counts[index] += np.bincount(np.minimum(bins, _BINS - 1), minlength=_BINS)
        advanced(len(batch))
    return {
        name: Observation(
            low=float(lows[index]),
            high=float(highs[index]),
            counts=counts[index],
            means=np.atleast_1d(sums[index]) / len(images),
        )
        for index, name in enumerate(activations)
    }


def choose_ranges(observations: Mapping[str, Observation], method: Method) -> Ranges:
    """The range of every activation by one method."""
    rule = {
        Method.MINMAX: _everything,
        Method.PERCENTILE: _percentile,
        Method.ERROR: _least_error,
    }[method]
    return {name: rule(seen) for name, seen in observations.items()}


def choose_limits(observations: Mapping[str, Observation], method: Method) -> Mapping[str, float]:
    """Per activation the magnitude, >= 0, that a signed and symmetric int8 spans, by one method."""
    if method is Method.ERROR:
        return {name: _least_symmetric_error(seen) for name, seen in observations.items()}
    ranges = choose_ranges(observations, method)
    return {name: max(-low, high) for name, (low, high) in ranges.items()}


def _everything(seen: Observation) -> tuple[float, float]:
    return seen.low, seen.high


def _percentile(seen: Observation) -> tuple[float, float]:
    share = np.cumsum(seen.counts) / max(1, seen.counts.sum())
    outer = 1 - _PERCENTILE / 100
    centres = seen.centres
    low = centres[min(int(np.searchsorted(share, outer)), len(centres) - 1)]
    high = centres[min(int(np.searchsorted(share, 1 - outer)), len(centres) - 1)]
    # Values that end at zero, as behind a ReLU, stay exactly there.
    return min(float(low), 0.0) if seen.low < 0 else 0.0, max(float(high), 0.0)


def _least_error(seen: Observation) -> tuple[float, float]:
    def error(low: float, high: float) -> float:
        step = max(high - low, 1e-30) / _LEVELS
        rounded = np.clip(np.round((seen.centres - low) / step), 0, _LEVELS) * step + low
        return float(seen.counts @ (seen.centres - rounded) ** 2)

    return _best(seen, error)


def _least_symmetric_error(seen: Observation) -> float:
    def error(limit: float) -> float:
        step = max(limit, 1e-30) / (_LEVELS // 2)
        rounded = np.clip(np.round(seen.centres / step), -(_LEVELS // 2), _LEVELS // 2) * step
        return float(seen.counts @ (seen.centres - rounded) ** 2)

    limit = max(-seen.low, seen.high)
    return min((limit * share for share in _SHARES), key=error)


def _best(seen: Observation, cost: Callable[[float, float], float]) -> tuple[float, float]:
    """The cheapest of ranges shrunk towards zero, both ends independently."""
    low, high = seen.low, seen.high
    if high - low <= 0:
        return low, high
    for _ in range(2):
        if seen.high > 0:
            high = min((seen.high * s for s in _SHARES), key=lambda end: cost(low, end))
        if seen.low < 0:
            low = min((seen.low * s for s in _SHARES), key=lambda end: cost(end, high))
    return float(low), float(high)


def _batches(images: Sequence[Pixels]) -> list[npt.NDArray[np.uint8]]:
    return [np.stack(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]


def _session(model: onnx.ModelProto, activations: Sequence[str]) -> ort.InferenceSession:
    observed = onnx.ModelProto()
    observed.CopyFrom(model)
    del observed.graph.output[:]
    observed.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        for name in activations
    )
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(
        observed.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
