"""How far two distributions are apart, whatever the number of parts: effect sizes, no tests.

With enough parts any difference is significant; these say whether it matters. Values in, values out.
Tested against scipy, which the runtime does not need.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_HALF_A_PART = 0.5


def psi(reference: Floats, counts: Floats) -> float:
    """Population stability index of counts (bins,) against reference shares (bins,).

    The symmetric Kullback-Leibler divergence. Half a part is added to every bin on both sides, in
    measure, so that an empty bin is no infinity. 0 where nothing was counted.
    """
    total = float(counts.sum())
    if not total:
        return 0.0
    size = total + _HALF_A_PART * len(counts)
    seen = (counts + _HALF_A_PART) / size
    expected = (reference * total + _HALF_A_PART) / size
    return float(((seen - expected) * np.log(seen / expected)).sum())


def wasserstein(edges: Floats, reference: Floats, counts: Floats) -> float:
    """Wasserstein-1 distance of two histograms over the same ascending edges, in their unit.

    Mass is taken to lie evenly within a bin; what lay beyond the edges counts at the outermost bins, so
    a distance is never overstated for it. 0 where nothing was counted.
    """
    total = float(counts.sum())
    if not total:
        return 0.0
    # The distributions' difference is linear within a bin: a trapezium, or two triangles at a crossing.
    gap = np.concatenate(([0.0], np.cumsum(counts / total - reference)))
    left, right = gap[:-1], gap[1:]
    apart = np.abs(left) + np.abs(right)
    crossing = left * right < 0
    squares = left**2 + right**2
    area = np.where(crossing, squares / np.where(apart > 0, apart, 1.0), apart) / 2
    return float((area * np.diff(edges)).sum())


def cohens_h(share: Floats, reference: Floats) -> Floats:
    """Difference of shares on the scale on which their standard error is 1/sqrt(parts) everywhere."""
    return np.asarray(2 * (np.arcsin(np.sqrt(share)) - np.arcsin(np.sqrt(reference))))


def shifted_by_h(reference: Floats, h: Floats) -> Floats:
    """The shares that lie Cohen's h away, held within 0..1: the inverse of `cohens_h`."""
    angle = np.clip(np.arcsin(np.sqrt(reference)) + h / 2, 0, np.pi / 2)
    return np.asarray(np.sin(angle) ** 2)
