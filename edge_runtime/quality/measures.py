"""The measures that frames are held to, of one frame seen once.

Owns what each measure is; limits come from the bundle and are applied in `judging`. Values in, values
out, any thread.
"""

from dataclasses import dataclass

import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.quality import TILES, Appearance, Measure
from edge_runtime.drift.statistics import FrameStatistics, statistics_of
from edge_runtime.frame_view import view
from edge_runtime.quality.tiles import ACROSS, DOWN, LIGHT, Floats, features

_PLACES = (
    ("at the upper left", "at the top", "at the upper right"),
    ("on the left", "in the middle", "on the right"),
    ("at the lower left", "at the bottom", "at the lower right"),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readings:
    """What is taken from a frame before it is known what it should look like."""

    statistics: FrameStatistics
    """The drift monitor's, measured once for both."""
    colour: tuple[float, float, float]
    """Mean red, green and blue, 0..255."""
    tiles: Floats
    """(3, TILES, TILES): `tiles.features`."""


def read(pixels: Pixels) -> Readings:
    """The readings of a frame (height, width, 3) uint8 RGB, each side at least `tiles.LEAST_SIDE`."""
    seen = view(pixels)
    return Readings(statistics=statistics_of(seen), colour=seen.colour, tiles=features(seen))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The measures of one frame, and where the worst of it lies."""

    values: dict[Measure, float]
    """brightness: mean grey level. highlights: log2 of the saturated share. warmth: log2 of red over
    blue. tint: log2 of green over the geometric mean of red and blue. pattern: correlation of the
    tiles with the reference's, 1 where they agree. cover: how far the light of the strangest
    block of four tiles lies off, in deviations. crispness: log2 of the mean step between pixels over the
    mean grey level, so that light does not move it. smear: how much less steep than it should be
    the smoothest block is, in deviations."""
    covered: str
    """Where the block with the strangest light lies, in words."""
    smeared: str
    """Where the smoothest block lies."""


class Eye:
    """Measures frames against what the reference images look like; holds nothing between frames."""

    def __init__(self, appearance: Appearance) -> None:
        self._mean = np.array(appearance.mean)
        self._deviation = np.array(appearance.deviation)
        self._directions = np.array(appearance.directions).reshape(-1, len(self._mean))
        self._pattern = _pattern(self._mean.reshape(3, TILES, TILES))
        self._span = [
            extreme(self._pattern, axis=(1, 2), keepdims=True) for extreme in (np.min, np.max)
        ]

    def look(self, frame: Readings) -> Sight:
        """The measures of a frame."""
        red, green, blue = (float(np.log2(level + 1)) for level in frame.colour)
        mean_light = float(np.log2(frame.statistics.brightness + 1))
        off = self._blocks(frame.tiles)
        light, steps = np.abs(off[LIGHT]), -np.minimum(off[ACROSS], off[DOWN])
        return Sight(
            values={
                Measure.BRIGHTNESS: frame.statistics.brightness,
                Measure.HIGHLIGHTS: frame.statistics.highlights,
                Measure.WARMTH: red - blue,
                Measure.TINT: green - (red + blue) / 2,
                Measure.PATTERN: self._agreement(frame.tiles),
                Measure.COVER: float(light.max()),
                Measure.CRISPNESS: frame.statistics.sharpness - mean_light,
                Measure.SMEAR: float(steps.max()),
            },
            covered=_place(light),
            smeared=_place(steps),
        )

    def _blocks(self, tiles: Floats) -> Floats:
        """(3, TILES - 1, TILES - 1): what the directions leave unexplained, in deviations, mean of four
        tiles."""
        away = tiles.ravel() - self._mean
        away -= (away @ self._directions.T) @ self._directions
        off = (away / self._deviation).reshape(3, TILES, TILES)
        pairs = off[:, 1:] + off[:, :-1]
        return np.asarray((pairs[:, :, 1:] + pairs[:, :, :-1]) / 4)

    def _agreement(self, tiles: Floats) -> float:
        # Held to what the reference spans: a dark thing over a few tiles must not outweigh the rest.
        pattern = np.clip(_pattern(tiles), *self._span)
        scale = float(np.linalg.norm(pattern) * np.linalg.norm(self._pattern))
        return float(np.vdot(pattern, self._pattern)) / scale if scale > 0 else 0.0


def _pattern(tiles: Floats) -> Floats:
    """How tiles differ from each other: without what a frame as a whole is."""
    return np.asarray(tiles - tiles.mean(axis=(1, 2), keepdims=True))


def _place(blocks: Floats) -> str:
    row, column = divmod(int(blocks.argmax()), blocks.shape[1])
    thirds = len(_PLACES), len(_PLACES[0])
    return _PLACES[row * thirds[0] // len(blocks)][column * thirds[1] // blocks.shape[1]]
