"""What a picture is known again by: a thumbnail and a hash of 128 bits.

A recompressed, slightly resized or slightly brighter copy of a photograph has nearly the same hash, the
next crop of the same weld seam has not. Owns these measures and their limits, not the search: a
data set's is in `train.data.near_copies`, a station's in `edge_runtime.samples.looks`. Arrays in, arrays
out; 272 bytes an image.

The hash holds the signs of the 128 lowest frequencies of a 16x16 thumbnail (DCT, without the mean).
Measured on 5,938 simulated Gen-3 crops, 17 million pairs: two different pictures differ in 61 bits,
never in fewer than 26; copies (JPEG of quality 50 and 75, resized by 2 % and to half, 6 % brighter, 8 %
darker) in 3, never in more than 13. On steel surfaces (NEU-DET, X-SDD) copies stay within 16 but for a
few in a hundred at quality 50. So the limit is 16 bits, and the weighted thumbnails must correlate as
well: a second, different look that costs little.
"""

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
