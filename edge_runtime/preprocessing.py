"""From pixels of any size to the model's input size: the only resize anywhere.

Training, calibration, golden frames and the line all come through here, so that they cannot differ.
Normalisation is not done here; it stands inside the model's graph.

The image is stretched, not letterboxed: crops are taken square around the seam, and bars of grey would
be something that no training crop has shown.
"""

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec


def fit(pixels: Pixels, spec: InputSpec) -> Pixels:
    """Pixels (spec.height, spec.width, 3) uint8 RGB; the same array where the size is right already.

    Shrinking averages (INTER_AREA), since picking single pixels loses hairline cracks; growing, in
    either direction, interpolates (INTER_LINEAR). Measured on one core, to 256x256: from 512x512
    0.1 ms, from 320x320 1 ms, from 1440x1080 6 to 8 ms where INTER_LINEAR takes 0.15: let the camera
    crop where that matters.
    """
    height, width = pixels.shape[:2]
    if (height, width) == (spec.height, spec.width):
        return pixels
    shrinks = height >= spec.height and width >= spec.width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, (spec.width, spec.height), interpolation=method)
    return np.asarray(resized, dtype=np.uint8)
