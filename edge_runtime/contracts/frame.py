"""A frame as a camera hands it over, before anybody has looked at it."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Pixels: TypeAlias = npt.NDArray[np.uint8]
"""An image: shape (height, width, 3), dtype uint8, channel order RGB."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """In place of an image: the source knows of the part but could not get at its picture."""

    reason: str
    """What the source met, in a few words: `permission denied`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One exposure of one part.

    `image` is the bytes of an encoded file (JPEG, PNG, BMP or TIFF; possibly damaged, since judging that
    is the frame gate's work and not the camera's), decoded `Pixels`, or `Unreadable`: the part was there
    and must be answered for.
    """

    part_id: str
    """The part's serial number, or whatever names it at this source; any text."""
    captured_at: datetime
    """When it was exposed or, where the source cannot say, when it arrived; UTC."""
    arrived: float
    """When this process received it; monotonic clock, seconds."""
    image: bytes | Pixels | Unreadable
    counter: int | None = None
    """The number of the exposure as the camera counts them, lost ones included; None if it does not."""

    def __post_init__(self) -> None:
        if self.captured_at.tzinfo is None:
            raise ValueError(f"captured_at needs a time zone, got {self.captured_at.isoformat()}")
        if isinstance(self.image, np.ndarray) and (
            self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8
        ):
            raise ValueError(
                f"expected pixels (height, width, 3) uint8, got {self.image.shape} {self.image.dtype}"
            )
