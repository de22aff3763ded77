"""What a picture measures, whatever is on it: light, colour, sharpness, and the smear of a moving part.

One definition for the audit of a data set and for whoever watches a line. Owns the measures and no
limit: what is too dark or too smeared must come from the data of a line. Values in, values out, any
thread.

Sharpness and smear depend on the scale, so compare like with like: measure what the camera delivered,
not a picture that was resized. Measured on one core: 0.17 ms for 256x256 pixels, 2.4 ms for 1440x1080.
"""

from dataclasses import astuple, dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels

_CLIPPED = 250
"""Grey levels of 255 from which on a sensor, after JPEG, is taken to be saturated."""
_TILES = 4
"""Smear is looked for in 4x4 tiles: a jerk under a rolling shutter smears a part of the picture only."""
_SMALLEST_STEP = 0.05
"""Grey levels; keeps the logarithm of a flat tile finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageStatistics:
    """The measures of one picture."""

    brightness: float
    """Mean grey level, 0..255."""
    contrast: float
    """Standard deviation of the grey levels."""
    clipped: float
    """Share of pixels that are saturated, 0..1: specular highlights, or too much light."""
    sharpness: float
    """log2 of the mean step between neighbouring pixels, in grey levels: one lower is half as sharp."""
    direction: float
    """How much steeper the steps down the picture are than those across it, log2, median of the tiles.
    Motion across blurs the latter and raises it; motion down the picture lowers it."""
    smear: float
    """How far the most extreme tile departs from `direction`, log2: high where a part of the picture was
    smeared, 0 where all of it, or nothing, was."""
    warmth: float
    """log2 of mean red over mean blue: a proxy of colour temperature, 0 for grey."""

    def row(self) -> tuple[float, ...]:
        """The values in the order of MEASURES."""
        return astuple(self)


MEASURES = tuple(field.name for field in fields(ImageStatistics))
"""The measures' names, in their order."""


def measure(pixels: Pixels) -> ImageStatistics:
    """The measures of a picture (height, width, 3) uint8 RGB, each side at least 5 pixels."""
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    red, _, blue, _ = cv2.mean(pixels)
    clipped = int(np.count_nonzero(grey >= _CLIPPED))
    across = _tile_means(cv2.absdiff(grey[1:, 1:], grey[1:, :-1]))
    down = _tile_means(cv2.absdiff(grey[1:, 1:], grey[:-1, 1:]))
    tilts = np.log2((down + _SMALLEST_STEP) / (across + _SMALLEST_STEP))
    direction = float(np.median(tilts))
    return ImageStatistics(
        brightness=float(mean[0, 0]),
        contrast=float(deviation[0, 0]),
        clipped=clipped / grey.size,
        sharpness=float(np.log2((across + down).mean() / 2 + _SMALLEST_STEP)),
        direction=direction,
        smear=float(np.abs(tilts - direction).max()),
        warmth=float(np.log2((red + 1) / (blue + 1))),
    )


def _tile_means(steps: npt.NDArray[np.integer | np.floating]) -> npt.NDArray[np.float64]:
    """Mean of each tile (_TILES, _TILES) of a plane of any size."""
    rows, columns = (np.linspace(0, side, _TILES + 1).astype(int) for side in steps.shape)
    sums = cv2.integral(steps)[np.ix_(rows, columns)].astype(np.float64)
    totals = np.diff(np.diff(sums, axis=0), axis=1)
    return np.asarray(totals / np.outer(np.diff(rows), np.diff(columns)))
