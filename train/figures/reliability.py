"""How well the shares that a model answers with agree with how often it is right.

Owns the bins and the expected calibration error over them (Guo et al. 2017). Arrays in, values out.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimize.bounds import Real

BINS = 15
"""Of equal width."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Images whose likeliest class was given a share within a bin; bins without images are left out."""

    low: float
    high: float
    images: int
    confidence: float
    """Mean share of the likeliest class."""
    correct: float
    """Share of the images of which it was the true one."""


def reliability(confidences: Real, correct: npt.NDArray[np.bool_]) -> tuple[ReliabilityBin, ...]:
    """The bins that hold images, of answers (N,) and whether each was right."""
    bins = _bins(confidences)
    images = np.bincount(bins, minlength=BINS)
    claimed, right = (np.bincount(bins, values, BINS) for values in (confidences, correct))
    return tuple(
        ReliabilityBin(
            low=number / BINS,
            high=(number + 1) / BINS,
            images=int(images[number]),
            confidence=float(claimed[number] / images[number]),
            correct=float(right[number] / images[number]),
        )
        for number in np.flatnonzero(images).tolist()
    )


def calibration_error(
    confidences: Real, correct: npt.NDArray[np.bool_], weights: Real | None = None
) -> float:
    """Expected calibration error: mean gap between confidence and hit rate over the bins."""
    weights = np.ones(len(confidences)) if weights is None else weights
    gaps = np.bincount(_bins(confidences), weights * (confidences - correct), BINS)
    return float(np.abs(gaps).sum() / weights.sum())


def _bins(confidences: Real) -> npt.NDArray[np.int64]:
    return np.minimum((confidences * BINS).astype(np.int64), BINS - 1)
