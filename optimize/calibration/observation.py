"""What each activation of a float model holds on calibration images.

Owns the observation and its histograms. Takes no range from them (`ranges`), leaves the graph alone. Two
passes over the images, the first for the extremes and the second for histograms between them, keep
memory at one small batch, whatever the number of images; ONNX Runtime's own calibrators keep every
activation of every image until the end (3.4 GB for 64 images of a lite0).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from edge_runtime.contracts.frame import Pixels
from optimize.calibration.probe import probe
from optimize.errors import CalibrationError
from optimize.graph import INPUT

_BINS = 2048
_BATCH = 4


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
    def width(self) -> float:
        """Of one bin."""
        return (self.high - self.low) / len(self.counts)

    @property
    def centres(self) -> npt.NDArray[np.float64]:
        """(2048,) the middle of each bin."""
        return np.asarray(self.low + self.width * (np.arange(len(self.counts)) + 0.5), np.float64)


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
    session = probe(model, activations)
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


def _batches(images: Sequence[Pixels]) -> list[npt.NDArray[np.uint8]]:
    return [np.stack(images[i : i + _BATCH]) for i in range(0, len(images), _BATCH)]
