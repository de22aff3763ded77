"""Entropy calibration: the part of a histogram whose quantised form diverges least from the whole.

Owns the search and the Kullback-Leibler divergence, in bins; what a bin is worth is the caller's. As in
S. Migacz, "8-bit inference with TensorRT" (GTC 2017), and `_compute_amax_entropy` of NVIDIA's
pytorch-quantization, which do it for magnitudes; here either end may move, as uint8 codes allow.
"""

import numpy as np
import numpy.typing as npt

_STRIDE = 8
"""Bins between two ends that are tried: 0.4 % of what was seen."""
_ABSENT = 1e-4
"""Values that an empty bin of the quantised form counts for, as in ONNX Runtime, for its logarithm."""


def least_divergence(counts: npt.NDArray[np.int64], zero: int, codes: int) -> tuple[int, int]:
    """First bin kept and first bin behind those kept; `zero` is the bin that holds 0 and always kept.

    `counts` (bins,) are spread over so many `codes` of equal width; a range of fewer bins than codes is
    not tried. Of equally good ranges the widest.
    """
    levelled = _without_zeros(counts, zero)
    first, behind = 0, len(counts)
    # One end at a time, the upper first, each twice, since the one shifts the other's optimum.
    for _ in range(2 if zero > 0 else 1):
        highs = range(len(counts), max(zero, first + codes - 1), -_STRIDE)
        behind = min(highs, key=lambda end: divergence(levelled, first, end, codes), default=behind)
        lows = range(0, min(zero, behind - codes) + 1, _STRIDE)
        first = min(lows, key=lambda end: divergence(levelled, end, behind, codes), default=first)
    return first, behind


def divergence(counts: npt.NDArray[np.float64], first: int, behind: int, codes: int) -> float:
    """Kullback-Leibler divergence, in nats, of bins `first` to `behind` - 1 once quantised.

    The reference has what is clipped in its outermost bins. The quantised form lacks it, and spreads
    what shares a code evenly over those of its bins that hold anything.
    """
    kept = counts[first:behind]
    reference = kept.copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[behind:].sum()
    code = np.arange(len(kept)) * codes // len(kept)
    held = kept > 0
    sums = np.bincount(code, kept, codes)
    bins = np.bincount(code, held, codes)
    quantised = np.where(held, (sums / np.maximum(bins, 1))[code], _ABSENT)
    seen = reference > 0
    if not seen.any():
        return 0.0
    p = reference[seen] / reference.sum()
    q = quantised[seen] / quantised[seen].sum()
    return float(p @ np.log(p / q))


def _without_zeros(counts: npt.NDArray[np.int64], zero: int) -> npt.NDArray[np.float64]:
    """The histogram with as many values in zero's bin as beside it.

    What a ReLU cut off is exactly zero, and exactly representable whatever the range; counted, this one
    bin would outweigh all others. pytorch-quantization does the same (`bins[0] = bins[1]`).
    """
    levelled = counts.astype(np.float64)
    beside = [place for place in (zero - 1, zero + 1) if 0 <= place < len(counts)]
    levelled[zero] = counts[beside].mean() if beside else counts[zero]
    return levelled
