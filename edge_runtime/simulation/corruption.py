"""Files of pictures: sound ones, and damaged ones as a line's share of them arrives.

`truncated`, `zero_bytes` and `garbage` cannot be decoded. `wrong_extension` is a sound PNG, BMP or TIFF
under a `.jpg` name: whoever trusts the name fails on it, whoever reads the bytes does not.
"""

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels

CORRUPTIONS = ("truncated", "zero_bytes", "wrong_extension", "garbage")

_DISGUISES = (".png", ".bmp", ".tiff")


def jpeg(pixels: Pixels, quality: int) -> bytes:
    """A sound JPEG file of a picture."""
    return _encoded(pixels, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def corrupt(
    rng: np.random.Generator, pixels: Pixels, kind: str, jpeg_quality: int
) -> tuple[bytes, str]:
    """The file of a picture, damaged in the way `kind` names, and the extension it goes by."""
    if kind == "zero_bytes":
        return b"", ".jpg"
    if kind == "wrong_extension":
        return _encoded(pixels, _DISGUISES[rng.integers(len(_DISGUISES))]), ".jpg"
    sound = jpeg(pixels, jpeg_quality)
    if kind == "truncated":
        return sound[: int(len(sound) * rng.uniform(0.02, 0.95))], ".jpg"
    if kind == "garbage":
        noise = rng.bytes(len(sound))
        # Half of them still begin as a JPEG does: a magic number proves nothing.
        return (sound[:4] + noise[4:] if rng.uniform() < 0.5 else noise), ".jpg"
    raise ValueError(f"unknown corruption {kind!r}, expected one of {', '.join(CORRUPTIONS)}")


def _encoded(pixels: Pixels, suffix: str, *options: int) -> bytes:
    _, data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), options)
    return data.tobytes()
