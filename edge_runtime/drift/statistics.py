"""Six measures of a frame that an engineer can name: light, colour, highlights, sharpness, noise.

Owns the measures and their scales, no limit and no memory. They are taken from pixels at the model's
size, as the model sees them, and every frame of a line has to afford them; what a data set's audit asks
of the camera's own pixels stands in `edge_runtime.image_statistics`. Values in, values out, any thread.
`benchmarks/drift_cost.py` times them.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from operator import attrgetter

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.frame_view import FrameView, view

_SATURATED = 250
"""Grey levels of 255 from which on a sensor, after JPEG, is taken to be saturated."""
_LEAST_SHARE = 2.0**-12
"""Of the pixels; keeps the logarithm of a frame without highlights finite."""
_LEAST_STEP = 0.05
"""Grey levels; keeps the logarithm of a flat frame finite."""
_SECOND_DIFFERENCE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_COLDEST, _HOTTEST = 1_500.0, 40_000.0
"""Kelvin; beyond them a mean colour is no light's, and McCamy's formula means nothing."""
_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float64
)
"""Linear sRGB to CIE XYZ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameStatistics:
    """The measures of one frame, each on the scale on which it varies evenly."""

    brightness: float
    """Mean grey level, 0..255."""
    contrast: float
    """log2 of the standard deviation of the grey levels: one more is twice the contrast."""
    highlights: float
    """log2 of the share of saturated pixels, -12 where there are none."""
    sharpness: float
    """log2 of the mean step between neighbouring pixels, in grey levels: one lower is half as sharp."""
    noise: float
    """log2 of the noise in grey levels by Immerkaer's estimate, from the middle of the frame. Fine
    texture counts as noise: only its changes mean something."""
    colour: float
    """Colour temperature of the mean colour in mired, 1,000,000 / kelvin: higher is warmer (redder)."""

    def row(self) -> tuple[float, ...]:
        """The values in the order of MEASURES."""
        return _ROW(self)


MEASURES = tuple(field.name for field in fields(FrameStatistics))
"""The measures' names, in their order."""
_ROW: Callable[[FrameStatistics], tuple[float, ...]] = attrgetter(*MEASURES)
"""A tenth of what `astuple` takes, which copies every value deeply."""


def measure(pixels: Pixels) -> FrameStatistics:
    """The measures of a frame (height, width, 3) uint8 RGB, each side at least 8 pixels."""
    return statistics_of(view(pixels))


def statistics_of(seen: FrameView) -> FrameStatistics:
    """The same of a frame that somebody else measures as well."""
    grey = seen.grey
    mean, deviation = cv2.meanStdDev(grey)
    _, saturated = cv2.threshold(grey, _SATURATED - 1, 1, cv2.THRESH_BINARY)
    across = cv2.norm(grey[:, 1:], grey[:, :-1], cv2.NORM_L1)
    down = cv2.norm(grey[1:], grey[:-1], cv2.NORM_L1)
    return FrameStatistics(
        brightness=float(mean[0, 0]),
        contrast=_log2(float(deviation[0, 0]) + _LEAST_STEP),
        highlights=_log2(cv2.countNonZero(saturated) / grey.size + _LEAST_SHARE),
        sharpness=_log2((across + down) / (2 * grey.size) + _LEAST_STEP),
        noise=_log2(_noise(grey) + _LEAST_STEP),
        colour=1e6 / kelvin(*seen.colour),
    )


def kelvin(red: float, green: float, blue: float) -> float:
    """Correlated colour temperature of a mean colour in sRGB, 0..255, by McCamy's cubic, in kelvin.

    C. S. McCamy, Color Research & Application 17 (1992) 142. Of a camera that is not calibrated only
    changes mean something.
    """
    linear = (np.array([red, green, blue]) + 1) ** 2.2
    x, y, z = _XYZ @ linear
    n = (x / (x + y + z) - 0.3320) / (0.1858 - y / (x + y + z))
    return float(np.clip(((449 * n + 3525) * n + 6823.3) * n + 5520.33, _COLDEST, _HOTTEST))


def _noise(grey: npt.NDArray[np.uint8]) -> float:
    """J. Immerkaer, Computer Vision and Image Understanding 64 (1996) 300; grey levels."""
    height, width = grey.shape
    middle = grey[height // 4 : height - height // 4, width // 4 : width - width // 4]
    second = cv2.filter2D(np.ascontiguousarray(middle), cv2.CV_16S, _SECOND_DIFFERENCE)
    return float(np.sqrt(np.pi / 2) / 6 * cv2.norm(second, cv2.NORM_L1) / middle.size)


def _log2(value: float) -> float:
    return float(np.log2(value))
