"""Whether a sample that looks the same is kept already.

Owns the comparison of one frame with those kept, by two measures: the same photograph by
`edge_runtime.likeness`, or the same features, where the model tells them. A frame of a camera that
stands still, or a part that the network cannot tell from one that is kept, teaches nothing twice. Random
samples are never compared: they are to be what the line is.

Features are projected onto 64 fixed directions, which keeps the angles between them, and compared by
cosine. Measured with the shipped float32 model on 320 simulated Gen-3 crops, 51,040 pairs: two different
parts come to 0.64, the nearest pair to 0.963; a copy 6 % brighter to 0.977 at least. Copies of poor
quality (JPEG at 75) lie at 0.87, among different parts: those the photograph finds. 336 bytes a sample.
"""

import base64
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.likeness import (
    LIMIT,
    MIN_CORRELATION,
    SIDE,
    Thumbnails,
    correlations,
    distances,
    hashes,
    thumbnail,
)

SAME_FEATURES = 0.97
"""Cosine of the projected features from which the network sees the same."""
_DIRECTIONS = 64
_LEVELS = 127


def look(pixels: Pixels) -> str:
    """What a frame is known again by, as text; empty where it shows nothing."""
    seen = thumbnail(pixels)
    return base64.b64encode(seen.tobytes()).decode() if seen.any() else ""


def embedding(features: npt.NDArray[np.float32]) -> str:
    """The direction of a frame's features (features,), as text; empty where they have none."""
    projected = features @ _directions(len(features))
    length = float(np.linalg.norm(projected))
    if not 0 < length < np.inf:
        return ""
    levels = np.rint(projected * (_LEVELS / length)).astype(np.int8)
    return base64.b64encode(levels.tobytes()).decode()


class Looks:
    """The looks of the samples that are kept; used by one thread."""

    def __init__(self, most: int) -> None:
        """`most` samples at a time."""
        self._thumbnails = np.zeros((most, SIDE, SIDE), np.int8)
        self._hashes = np.zeros((most, 2), np.uint64)
        self._seen = np.zeros((most, _DIRECTIONS), np.float32)
        self._places: dict[str, int] = {}
        self._free = list(range(most))

    def add(self, name: str, look: str, embedding: str = "") -> None:
        """A sample is kept; what it has no look of is like nothing."""
        if name in self._places:
            return
        place = self._places[name] = self._free.pop()
        if look:
            shown = _thumbnail(look)
            self._thumbnails[place], self._hashes[place] = shown[0], hashes(shown)[0]
        if embedding:
            self._seen[place] = _direction(embedding)

    def forget(self, name: str) -> None:
        """A sample is no longer kept."""
        place = self._places.pop(name, None)
        if place is not None:
            self._thumbnails[place] = 0
            self._seen[place] = 0
            self._free.append(place)

    def alike(self, look: str, embedding: str = "") -> bool:
        """Whether a sample that looks like this one is kept; half a millisecond for 10,000."""
        return bool(look and self._shows(look)) or bool(embedding and self._reads(embedding))

    def _shows(self, look: str) -> bool:
        shown = _thumbnail(look)
        near = np.flatnonzero(distances(hashes(shown), self._hashes) <= LIMIT)
        kept = self._thumbnails[near]
        kept = kept[kept.any(axis=(1, 2))]
        return bool((correlations(shown, kept) >= MIN_CORRELATION).any())

    def _reads(self, embedding: str) -> bool:
        return bool((self._seen @ _direction(embedding) >= SAME_FEATURES).any())


def _thumbnail(text: str) -> Thumbnails:
    return np.frombuffer(base64.b64decode(text), np.int8).reshape(1, SIDE, SIDE)


def _direction(text: str) -> npt.NDArray[np.float32]:
    levels = np.frombuffer(base64.b64decode(text), np.int8).astype(np.float32)
    return np.asarray(levels / np.linalg.norm(levels), np.float32)


@lru_cache(maxsize=2)
def _directions(features: int) -> npt.NDArray[np.float32]:
    """(features, _DIRECTIONS), drawn once and for all."""
    drawn = np.random.default_rng(0).normal(size=(features, _DIRECTIONS))
    return np.asarray(drawn, np.float32)
