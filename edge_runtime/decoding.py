"""Encoded images to RGB pixels: the one decoder of the daemon, the bundle's maker and training.

Owns what a file's pixels are, whoever asks. Does not resize (`preprocessing`) and does not judge what is
to be seen (`quality`). Pure and safe from any thread.

Nothing is guessed from values:
- The format comes from the content, never from a file's suffix.
- 16-bit samples lose their lower byte (`>> 8`). A camera that puts 12 bits into the lower end of 16
  gives dark images here as it did in training; it is to be set to the upper end or to 8 bits.
- Grey becomes three equal channels. An alpha channel is dropped, the colours under it stay as stored.
- Colour profiles and gamma are ignored, and so is the orientation in Exif or TIFF tags: pixels stay as
  the sensor laid them. Cameras and cropping tools write that tag inconsistently, and a model must see
  the seam the way its training crops lay.

Measured on one AVX512 core: a 256x256 JPEG of 19 kB takes 0.36 ms, all of it libjpeg's; a
PNG of 100 kB takes 1.4 ms, 0.07 of it for the checksums.
"""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.image_header import ImageHeader, Undecodable, read_header

__all__ = ["Undecodable", "decode"]

_FILLER = 128
"""What libjpeg paints where a scan ends early: all coefficients zero, mid-grey."""


def decode(data: bytes) -> Pixels:
    """Pixels (height, width, 3) uint8 RGB of a JPEG, PNG, BMP or TIFF file's first image.

    Raises Undecodable, and nothing else, for any other bytes. At most `image_header.MAX_PIXELS` are
    decoded; the size is read from the header first. Raises MemoryError where this machine has no room
    for them, which says nothing about the file.
    """
    header = read_header(data)
    pixels = _decode(header)
    if header.format == "JPEG" and pixels[-1, -1, 0] == _FILLER and _ends_in_filler(header, pixels):
        raise Undecodable("truncated JPEG")
    return pixels


def _decode(header: ImageHeader) -> Pixels:
    _silence()
    # OpenCV 5.0 swaps or rounds the channels of 16-bit colour TIFFs unless it leaves them unchanged.
    tiff = header.format == "TIFF"
    flags = cv2.IMREAD_UNCHANGED if tiff else cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(header.data, np.uint8), flags)
    except cv2.error as exc:
        _require_room(exc)
        image = None
    if image is None or image.shape[:2] != (header.height, header.width):
        raise Undecodable(f"damaged {header.format}")
    if not tiff:
        return np.asarray(image, dtype=np.uint8)
    if image.dtype == np.uint16:
        image = np.right_shift(image, 8).astype(np.uint8)
    if image.dtype != np.uint8:
        raise Undecodable(f"unsupported {header.format}: {image.dtype} samples")
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels not in _TO_RGB:
        raise Undecodable(f"unsupported {header.format}: {channels} channels")
    try:
        return np.asarray(cv2.cvtColor(image, _TO_RGB[channels]), dtype=np.uint8)
    except cv2.error as exc:
        _require_room(exc)
        raise


def _require_room(exc: cv2.error) -> None:
    if exc.code == cv2.Error.StsNoMem:
        raise MemoryError(str(exc)) from exc


_TO_RGB = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}


def _ends_in_filler(header: ImageHeader, pixels: Pixels) -> bool:
    """Whether a JPEG's scan was cut short although an end marker follows.

    Such a file decodes without an error, its lower part mid-grey. So does a whole file that is mid-grey
    there by nature. They differ when the scan loses two more bytes: where it was cut, picture content
    above the grey goes; where it is whole, only the code words of the last few blocks go. Not seen are a
    cut within those last blocks, and a cut in a progressive file, whose first scan covers everything.
    """
    if (pixels[-8:, -8:] != _FILLER).any():
        return False
    end = header.data.rfind(b"\xff\xd9")
    shorter = replace(header, data=header.data[: end - 2] + b"\xff\xd9")
    changed = (_decode(shorter) != pixels).any(axis=2)
    changed[-24:, -64:] = (
        False  # at least two blocks of 16x16 and a margin for their smoothed colours
    )
    return bool(changed.any())


@cache
def _silence() -> None:
    """OpenCV logs what it cannot decode to standard error; here every such file gets its own answer."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
