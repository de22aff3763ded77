"""What several measures of a frame begin with, taken once: its grey levels and its mean colour.

Owns no measure. Whoever watches for drift and whoever turns bad frames away measure the same frame, and
converting it twice would cost as much as some of their measures. Values in, values out, any thread.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels

Grey = npt.NDArray[np.uint8]
"""Grey levels: shape (height, width), uint8."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameView:
    """A frame reduced to what its measures are taken from."""

    grey: Grey
    colour: tuple[float, float, float]
    """Mean red, green and blue, 0..255."""


def view(pixels: Pixels) -> FrameView:
    """The view of a frame (height, width, 3) uint8 RGB."""
    # Every second row: half the time, and colour is even over neighbours.
    red, green, blue, _ = cv2.mean(pixels[::2])
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return FrameView(grey=grey, colour=(red, green, blue))
