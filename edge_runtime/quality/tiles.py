"""A frame in TILES x TILES tiles: how light each is, and how steep the steps in it are, across and down.

Owns these features and no reference. Logarithms, so that more light or less contrast moves all tiles of
a frame alike. Taken from pixels at the model's size, as the model sees them: docs/quality.md says why.
Values in, values out, any thread.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.quality import TILES
from edge_runtime.frame_view import FrameView

Floats = npt.NDArray[np.float64]

LIGHT, ACROSS, DOWN = range(3)
"""Where a feature stands in the first dimension of `features`."""
LEAST_SIDE = 2 * TILES
"""Pixels: below it a tile holds no steps worth a mean."""
_LEAST_LIGHT = 1.0
_LEAST_STEP = 0.05
"""Grey levels; they keep the logarithms of a black or flat tile finite."""


def features(seen: FrameView) -> Floats:
    """(3, TILES, TILES): log2 of the mean grey level, of the mean step across and of that down.

    In grey levels; each side of the frame at least LEAST_SIDE pixels.
    """
    grey = seen.grey
    across = cv2.absdiff(grey[1:, 1:], grey[1:, :-1])
    down = cv2.absdiff(grey[1:, 1:], grey[:-1, 1:])
    corners = _corners(*across.shape)
    # The sums of all rectangles from the corner: a tile's sum takes four of them. 8 us a plane.
    sums = np.stack([cv2.integral(plane)[corners] for plane in (grey[1:, 1:], across, down)])
    totals = sums[:, 1:, 1:] - sums[:, 1:, :-1] - sums[:, :-1, 1:] + sums[:, :-1, :-1]
    means = totals / _areas(*across.shape)
    means[LIGHT] += _LEAST_LIGHT
    means[ACROSS:] += _LEAST_STEP
    return np.asarray(np.log2(means))


@lru_cache(maxsize=16)
def _corners(height: int, width: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where the tiles' corners lie: rows and columns to index with."""
    rows, columns = (np.arange(TILES + 1) * side // TILES for side in (height, width))
    return rows[:, None], columns[None, :]


@lru_cache(maxsize=16)
def _areas(height: int, width: int) -> Floats:
    rows, columns = _corners(height, width)
    return np.asarray(np.diff(rows, axis=0) * np.diff(columns), np.float64)
