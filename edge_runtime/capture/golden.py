"""The golden frame: whether a camera that comes back shows what it showed before.

Owns the comparison of a frame with the first ones of the first connection: size, channel order,
mirroring, exposure. Values in, values out. Cameras do come back as BGR where they gave RGB, mirrored, or
at their factory's resolution, and a model judges such frames without a word.

What the scene does not show cannot be compared: red and blue swapped on a grey part, a symmetric picture
mirrored. `Reference.cannot_see` names it. Another bit depth is refused by the camera's adapter, or shows
as exposure. The reference lives as long as the station's process.
"""

from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels

LEARNT_FROM = 8
"""Frames of the first connection that make the reference."""
ON_TRIAL = 3
"""Frames in a row that must agree after a reconnection before a camera is believed again."""
_SIDE = 16
_LEAST_COLOUR = 3.0
"""Grey levels, root mean square of red minus blue: below it a swap shows in nothing."""
_SWAPPED = 0.5
"""Correlation of red minus blue with the reference, below the negative of which it is swapped."""
_LIKE = 0.6
"""Correlation of the mirrored picture with the reference, from which it is the same scene."""
_LEAD = 0.3
"""By which that must be above the correlation of the picture as it came."""
_STOPS = 1.5
"""Exposure steps, log2, that a frame may be outside of what the reference's frames spanned."""

_Grid = npt.NDArray[np.float32]
_FLIPS = {"left to right": 1, "upside down": 0, "turned by half": -1}


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """A frame reduced to what is compared."""

    height: int
    width: int
    exposure: float
    """log2 of the mean grey level plus one."""
    colour: _Grid
    """Red minus blue, (_SIDE, _SIDE), grey levels."""
    form: _Grid
    """Grey levels less their mean, (_SIDE, _SIDE)."""

    @classmethod
    def at(cls, pixels: Pixels) -> Self:
        """Reduce a frame (height, width, 3) uint8 RGB."""
        height, width = pixels.shape[:2]
        # Every n-th pixel first: a whole frame of 1440x1080 would cost 6 ms.
        step = max(1, min(height, width) // (8 * _SIDE))
        small = cv2.resize(
            np.ascontiguousarray(pixels[::step, ::step]),
            (_SIDE, _SIDE),
            interpolation=cv2.INTER_AREA,
        ).astype(np.float32)
        grey = small.mean(axis=2)
        return cls(
            height=height,
            width=width,
            exposure=float(np.log2(grey.mean() + 1)),
            colour=small[..., 0] - small[..., 2],
            form=grey - grey.mean(),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What the first frames had in common."""

    height: int
    width: int
    darkest: float
    brightest: float
    colour: _Grid
    form: _Grid

    @classmethod
    def of(cls, looks: list[Look]) -> Self:
        """The reference that these frames of one size make."""
        exposures = [look.exposure for look in looks]
        return cls(
            height=looks[0].height,
            width=looks[0].width,
            darkest=min(exposures),
            brightest=max(exposures),
            colour=np.mean([look.colour for look in looks], axis=0),
            form=np.mean([look.form for look in looks], axis=0),
        )

    @property
    def cannot_see(self) -> tuple[str, ...]:
        """Changes that would not show in this scene."""
        blind = [] if _rms(self.colour) >= _LEAST_COLOUR else ["red and blue swapped"]
        blind += [
            f"mirrored {name}"
            for name, flip in _FLIPS.items()
            if _correlation(_flipped(self.form, flip), self.form) > 1 - _LEAD
        ]
        return tuple(blind)

    def difference(self, look: Look) -> str | None:
        """What has changed, in a few words; None where nothing shows."""
        if (look.height, look.width) != (self.height, self.width):
            return f"{look.width}x{look.height} pixels, was {self.width}x{self.height}"
        outside = max(self.darkest - look.exposure, look.exposure - self.brightest)
        if outside > _STOPS:
            middle = (self.darkest + self.brightest) / 2
            return f"mean grey level {2**look.exposure - 1:.0f}, was {2**middle - 1:.0f}"
        if (
            _rms(self.colour) >= _LEAST_COLOUR
            and _correlation(look.colour, self.colour) < -_SWAPPED
        ):
            return "red and blue are swapped"
        as_it_came = _correlation(look.form, self.form)
        for name, flip in _FLIPS.items():
            mirrored = _correlation(_flipped(look.form, flip), self.form)
            if mirrored >= _LIKE and mirrored > as_it_came + _LEAD:
                return f"mirrored {name}"
        return None


class GoldenFrame:
    """Learns from the first connection, then holds every further one to it.

    The size is compared at every frame. All else is compared after a reconnection, until ON_TRIAL frames
    in a row have agreed.
    """

    def __init__(self) -> None:
        self._learning: list[Look] = []
        self._reference: Reference | None = None
        self._on_trial = 0

    @property
    def reference(self) -> Reference | None:
        """What frames are compared with; None while it is being learnt."""
        return self._reference

    def reconnected(self) -> None:
        """The next frames come from another connection."""
        if self._reference is None and self._learning:
            self._reference = Reference.of(self._learning)
        self._on_trial = ON_TRIAL

    def difference(self, pixels: Pixels) -> str | None:
        """What is not as it was about the next frame; None where it may be judged."""
        if self._reference is None:
            return self._learn(Look.at(pixels))
        same_size = pixels.shape[:2] == (self._reference.height, self._reference.width)
        if same_size and not self._on_trial:
            return None
        changed = self._reference.difference(Look.at(pixels))
        # A change of size without a reconnection is a reconnection that nobody told us of.
        self._on_trial = ON_TRIAL if changed else self._on_trial - 1
        return changed

    def _learn(self, look: Look) -> str | None:
        first = self._learning[0] if self._learning else look
        if (look.height, look.width) != (first.height, first.width):
            return f"{look.width}x{look.height} pixels, was {first.width}x{first.height}"
        self._learning.append(look)
        if len(self._learning) == LEARNT_FROM:
            self._reference = Reference.of(self._learning)
            self._learning = []
        return None


def _flipped(grid: _Grid, flip: int) -> _Grid:
    return np.asarray(cv2.flip(grid, flip), dtype=np.float32)


def _rms(grid: _Grid) -> float:
    return float(np.sqrt(np.mean(np.square(grid))))


def _correlation(one: _Grid, other: _Grid) -> float:
    """Of two grids as they are, their means left in: -1..1, 0 where one of them is flat."""
    scale = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.sum(one * other)) / scale if scale > 0 else 0.0
