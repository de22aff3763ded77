"""Damage that a build does to its own images, to see what each limit is good for.

One trial for each measure and side, at a severity that a person would see at a glance. Owns the damage;
what is caught of it is counted in `setting`. Deterministic for a given generator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.quality import Check, Measure

Side: TypeAlias = Literal["lowest", "highest"]
Damage: TypeAlias = Callable[[np.random.Generator, Pixels], Pixels]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a limit is tried with."""

    check: Check
    measure: Measure
    side: Side
    words: str
    damage: Damage
    least_spread: float
    """Half quartile range at least, in the measure's unit: a line that never varied in the images
    varies a little one day."""
    halfway: bool = False
    """Whether the limit lies at least half way to what the damage makes of the measure: other damage
    moves it as well, and is to go by its own name."""


def gained(pixels: Pixels, *gains: float) -> Pixels:
    """More or less light by channel, clipped as a sensor does."""
    table = np.clip(np.arange(256)[:, None] * np.array(gains), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, np.ascontiguousarray(np.broadcast_to(table, (256, 3)))[None]))


def defocused(pixels: Pixels, sigma: float) -> Pixels:
    """Blurred evenly, `sigma` in shares of the shorter side."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma * min(pixels.shape[:2])))


def smeared(rng: np.random.Generator, pixels: Pixels, length: float, extent: float) -> Pixels:
    """Moved along a side during the exposure, over `extent` of the frame from one border on."""
    height, width = pixels.shape[:2]
    stroke = max(3, round(length * min(height, width)))
    moved = cv2.blur(pixels, (stroke, 1) if rng.uniform() < 0.5 else (1, stroke))
    turns = int(rng.integers(4))
    out, source = np.rot90(pixels, turns).copy(), np.rot90(moved, turns)
    out[: round(extent * len(out))] = source[: round(extent * len(out))]
    return np.ascontiguousarray(np.rot90(out, -turns))


def covered(rng: np.random.Generator, pixels: Pixels, side: float) -> Pixels:
    """Something of one shade reaches in from a border, `side` of the frame wide and deep.

    It has up to as much grain as what it hides: a smooth patch would be too easy to find.
    """
    height, width = pixels.shape[:2]
    down, across = round(side * height), round(side * width)
    top, left = int(rng.integers(height - down + 1)), int(rng.integers(width - across + 1))
    if rng.uniform() < 0.5:
        top = int(rng.choice([0, height - down]))
    else:
        left = int(rng.choice([0, width - across]))
    window = np.s_[top : top + down, left : left + across]
    hidden = pixels[window].astype(np.float32)
    grain = hidden - cv2.GaussianBlur(hidden, (0, 0), 3)
    shade = rng.uniform(10, 245) * rng.uniform(0.9, 1.1, 3)
    out = pixels.copy()
    out[window] = np.clip(shade + rng.uniform(0, 1) * grain, 0, 255)
    return out


def shifted(pixels: Pixels) -> Pixels:
    """Half a frame off, down and across."""
    height, width = pixels.shape[:2]
    return np.ascontiguousarray(np.roll(pixels, (height // 2, width // 2), (0, 1)))


def _gain(*gains: float) -> Damage:
    return lambda _, pixels: gained(pixels, *gains)


_ROWS: tuple[tuple[Check, Measure, Side, str, Damage, float], ...] = (
    (Check.DARK, Measure.BRIGHTNESS, "lowest", "a quarter of the light", _gain(0.25), 3.0),
    (Check.OVEREXPOSED, Measure.BRIGHTNESS, "highest", "twice the light", _gain(2.0), 3.0),
    (Check.OVEREXPOSED, Measure.HIGHLIGHTS, "highest", "twice the light", _gain(2.0), 1.5),
    (
        Check.COLOUR_CAST,
        Measure.WARMTH,
        "highest",
        "red +25 %, blue -20 %",
        _gain(1.25, 1, 0.8),
        0.03,
    ),
    (
        Check.COLOUR_CAST,
        Measure.WARMTH,
        "lowest",
        "red -20 %, blue +25 %",
        _gain(0.8, 1, 1.25),
        0.03,
    ),
    (Check.COLOUR_CAST, Measure.TINT, "highest", "green +25 %", _gain(1, 1.25, 1), 0.03),
    (Check.COLOUR_CAST, Measure.TINT, "lowest", "green -20 %", _gain(1, 0.8, 1), 0.03),
    (
        *(Check.NO_SEAM, Measure.PATTERN, "lowest", "half a frame off"),
        lambda _, pixels: shifted(pixels),
        0.02,
    ),
    (
        *(Check.OCCLUDED, Measure.COVER, "highest", "a shade over a quarter of the frame"),
        lambda rng, pixels: covered(rng, pixels, 0.5),
        0.3,
    ),
    (
        *(Check.BLURRED, Measure.CRISPNESS, "lowest", "defocus by a hundredth of the side"),
        lambda _, pixels: defocused(pixels, 0.01),
        0.05,
    ),
    (
        *(Check.BLURRED, Measure.SMEAR, "highest", "a sixteenth of the side of motion over a half"),
        lambda rng, pixels: smeared(rng, pixels, 1 / 16, 0.5),
        0.3,
    ),
)
TRIALS = tuple(
    Trial(
        check=check,
        measure=measure,
        side=side,
        words=words,
        damage=damage,
        least_spread=spread,
        halfway=measure is Measure.PATTERN,
    )
    for check, measure, side, words, damage, spread in _ROWS
)
