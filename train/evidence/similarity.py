"""How alike two networks see the same images, and what a layer's features tell apart.

Arrays in, values out; which networks and which images is the business of `train.evidence.transfer`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Features = npt.NDArray[np.float32]
"""(N, any): what a layer answers to each of N images."""
Real = npt.NDArray[np.float64]


def cka(mine: Features, theirs: Features) -> float:
    """Linear centred kernel alignment of two layers over the same N >= 4 images (Kornblith et al. 2019).

    1: the layers place the images alike, whatever the rotation, scale and offset of their features. The
    Hilbert-Schmidt terms are the unbiased ones of Song et al. (2012, eq. 5): plain ones see likeness
    between unrelated layers that have more features than there are images. So unrelated layers come out
    near 0 and may fall below. NaN where a layer answers alike to all images.
    """
    if len(mine) != len(theirs) or len(mine) < 4:
        raise ValueError(f"expected the same 4 or more images, got {len(mine)} and {len(theirs)}")
    one, other = _likenesses(mine), _likenesses(theirs)
    scale = math.sqrt(max(0.0, _alignment(one, one) * _alignment(other, other)))
    return _alignment(one, other) / scale if scale > 0 else math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What makes the features of images differ, as shares of the whole that add up to 1."""

    source: float
    """Which set an image is from; 0 where there is one set only."""
    kind: float
    """Its class."""
    rest: float
    """Everything else: part, light, noise, and a class that looks different from set to set."""


def parts(features: Features, kinds: Sequence[str], sources: Sequence[str]) -> Parts:
    """Divide the variance of features (N, C) between set, class and all else.

    Every pair of set and class counts alike, however many images it has, so that a set with more defects
    is not taken for another camera; classes with fewer than two images in one of the sets are left out.
    What a mean of few images varies by itself is taken off (a two-way analysis of variance with random
    images). Raises ValueError where fewer than two classes are left.
    """
    names = sorted(set(sources))
    cells = {
        (source, kind): features[
            [s == source and k == kind for s, k in zip(sources, kinds, strict=True)]
        ].astype(np.float64)
        for source in names
        for kind in sorted(set(kinds))
    }
    usable = [
        kind
        for kind in sorted(set(kinds))
        if min(len(cells[source, kind]) for source in names) >= 2
    ]
    if len(usable) < 2:
        raise ValueError(f"expected two classes with two images in every set, got {usable}")
    grid = [[cells[source, kind] for kind in usable] for source in names]
    means = np.array([[cell.mean(axis=0) for cell in row] for row in grid])
    within = np.array([[cell.var(axis=0, ddof=1).sum() for cell in row] for row in grid])
    error = within / np.array([[len(cell) for cell in row] for row in grid])
    grand = means.mean(axis=(0, 1))
    of_source, of_kind = means.mean(axis=1), means.mean(axis=0)
    both = means - of_source[:, None] - of_kind[None] + grand
    sets, classes = within.shape
    noise = float(error.mean())
    source = _spread(of_source - grand) - noise * (1 - 1 / sets) / classes
    kind = _spread(of_kind - grand) - noise * (1 - 1 / classes) / sets
    mixed = _spread(both) - noise * (1 - 1 / sets) * (1 - 1 / classes)
    found = np.maximum([source, kind, mixed + float(within.mean())], 0)
    total = float(found.sum())
    if total == 0:
        return Parts(source=0.0, kind=0.0, rest=1.0)
    source, kind, rest = (found / total).tolist()
    return Parts(source=source, kind=kind, rest=rest)


def _likenesses(features: Features) -> Real:
    """Products of every two images' features (N, N), of an image with itself left out.

    Centred and scaled first: neither changes the alignment, and large numbers would lose digits.
    """
    centred = features.astype(np.float64)
    centred -= centred.mean(axis=0)
    products = centred @ centred.T
    np.fill_diagonal(products, 0)
    return products / (np.abs(products).max() or 1.0)


def _alignment(one: Real, other: Real) -> float:
    """The unbiased Hilbert-Schmidt independence criterion of two such matrices."""
    n = len(one)
    trace = float((one * other).sum())
    sums = float(one.sum() * other.sum()) / ((n - 1) * (n - 2))
    crossed = 2 * float(one.sum(axis=0) @ other.sum(axis=0)) / (n - 2)
    return (trace + sums - crossed) / (n * (n - 3))


def _spread(offsets: Real) -> float:
    """Mean squared length of the offsets, the features being the last axis."""
    return float((offsets**2).sum(axis=-1).mean())
