"""What a picture is known again by: a thumbnail and a hash of 128 bits, and the search for alike ones.

A recompressed, slightly resized or slightly brighter copy of a photograph has nearly the same hash, the
next crop of the same weld seam has not. Owns these measures and their limits; `duplicates` says what
follows. Arrays in, arrays out; 272 bytes an image.

The hash holds the signs of the 128 lowest frequencies of a 16x16 thumbnail (DCT, without the mean).
Measured on 5,938 simulated Gen-3 crops, 17 million pairs: two different pictures differ in 61 bits,
never in fewer than 26; copies (JPEG of quality 50 and 75, resized by 2 % and to half, 6 % brighter, 8 %
darker) in 3, never in more than 13. On steel surfaces (NEU-DET, X-SDD) copies stay within 16 but for a
few in a hundred at quality 50. So the limit is 16 bits, and the weighted thumbnails must correlate as
well: a second, different look that costs little.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels

SIDE = 16
"""Of a thumbnail, pixels."""
BITS = 128
"""Of a hash."""
LIMIT = 16
"""Bits in which two copies of a photograph may differ."""
MIN_CORRELATION = 0.95
"""Of two copies' thumbnails: at least 0.997 among simulated seams, and 0.975 at quality 75 anywhere."""

_FLAT = 0.5
"""Grey levels of deviation below which a thumbnail shows nothing that could be known again."""
_STRETCH = 32.0
"""Deviation of a stored thumbnail, of 127 levels."""
_BANDS, _BAND_BITS = 16, 16
_NEIGHBOURS = 64
"""Compared with each image within a band, nearest hashes first: keeps a crowd from being quadratic."""
_CHUNK = 65_536

Thumbnails = npt.NDArray[np.int8]
"""(N, SIDE, SIDE)."""
Hashes = npt.NDArray[np.uint64]
"""(N, 2)."""


def thumbnail(pixels: Pixels) -> Thumbnails:
    """The picture (height, width, 3) at SIDE pixels in grey, of mean 0 and one contrast; all 0 where it
    is flat."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey.astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    small = small - small.mean()
    deviation = float(small.std())
    if deviation < _FLAT:
        return np.zeros((SIDE, SIDE), np.int8)
    stretched = np.clip(np.rint(small * (_STRETCH / deviation)), -127, 127)
    return np.asarray(stretched, np.int8)


def hashes(thumbnails: Thumbnails) -> Hashes:
    """The hash of each thumbnail."""
    packed = [
        np.packbits(_frequencies(thumbnails[start : start + _CHUNK]) > 0, axis=1)
        for start in range(0, len(thumbnails), _CHUNK)
    ]
    return np.concatenate(packed or [np.zeros((0, BITS // 8), np.uint8)]).view(np.uint64)


def distances(left: Hashes, right: Hashes) -> npt.NDArray[np.int64]:
    """Bits in which hashes (N, 2) differ, pair by pair."""
    return np.asarray(np.bitwise_count(left ^ right).sum(axis=1), np.int64)


def correlations(left: Thumbnails, right: Thumbnails) -> npt.NDArray[np.float32]:
    """How alike thumbnails are, pair by pair, -1..1, fine structure weighing as much as coarse."""
    one, other = (_frequencies(side) * _WEIGHTS for side in (left, right))
    scale = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(scale, 1e-9), np.float32)


def alike_pairs(thumbnails: Thumbnails, limit: int = LIMIT) -> npt.NDArray[np.int64]:
    """Pairs (P, 2) of positions, lower one first, whose hashes and thumbnails are both alike.

    Only images that share one of 16 bands of 16 bits are compared, which finds 99.9 % of the pairs that
    differ in 8 bits and 87 % of those at the limit; in a crowd of one band, the nearest 64. Time and
    memory grow with N, not with its square. Flat thumbnails are like nothing.
    """
    seen = np.flatnonzero(thumbnails.any(axis=(1, 2)))
    codes = hashes(thumbnails[seen])
    found = [np.zeros(0, np.int64)]
    for keys in _bands(codes):
        order = np.lexsort((codes[:, 1], codes[:, 0], keys))
        for left, right in _neighbours(order, keys[order]):
            near = distances(codes[left], codes[right]) <= limit
            low, high = np.minimum(left, right)[near], np.maximum(left, right)[near]
            found.append(low * len(seen) + high)
        found = [np.unique(np.concatenate(found))]  # most pairs meet in several bands
    pairs = seen[np.column_stack(np.divmod(found[0], max(1, len(seen))))]
    alike = [
        correlations(thumbnails[some[:, 0]], thumbnails[some[:, 1]]) >= MIN_CORRELATION
        for some in (pairs[start : start + _CHUNK] for start in range(0, len(pairs), _CHUNK))
    ]
    return np.asarray(pairs[np.concatenate(alike)] if alike else pairs)


def _bands(codes: Hashes) -> Iterator[npt.NDArray[np.uint16]]:
    """The key of every hash in each band: some of its bits, drawn once and for all."""
    bits = np.unpackbits(codes.view(np.uint8), axis=1)
    random = np.random.default_rng(0)
    for _ in range(_BANDS):
        chosen = bits.take(random.choice(BITS, _BAND_BITS, replace=False), axis=1)
        yield np.packbits(chosen, axis=1).view(np.uint16)[:, 0]


def _neighbours(
    order: npt.NDArray[np.int64], keys: npt.NDArray[np.uint16]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Pairs of entries of `order` that lie near each other and have one key; `keys` ascends."""
    places = np.arange(len(order))
    for step in range(1, _NEIGHBOURS + 1):
        places = places[places < len(order) - step]
        # Who shares no key with its neighbour shares none with a farther one.
        places = places[keys[places] == keys[places + step]]
        if not len(places):
            return
        yield order[places], order[places + step]


def _frequencies(thumbnails: Thumbnails) -> npt.NDArray[np.float32]:
    """The BITS lowest frequencies (N, BITS) of thumbnails, without the mean."""
    full = _COSINES @ thumbnails.astype(np.float32) @ _COSINES.T
    return np.asarray(full.reshape(len(thumbnails), SIDE * SIDE).take(_LOWEST, axis=1))


def _cosines() -> npt.NDArray[np.float32]:
    """The matrix of the orthonormal DCT-II."""
    steps = np.arange(SIDE)
    waves = np.cos(np.pi * np.outer(steps, 2 * steps + 1) / (2 * SIDE)) * np.sqrt(2 / SIDE)
    waves[0] /= np.sqrt(2)
    return np.asarray(waves, np.float32)


_COSINES = _cosines()
_DEGREES = np.add.outer(np.arange(SIDE), np.arange(SIDE)).ravel()
_LOWEST = np.argsort(_DEGREES, kind="stable")[1 : BITS + 1]
_WEIGHTS = _DEGREES[_LOWEST].astype(np.float32)
