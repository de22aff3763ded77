"""What can happen to a line's pictures, done to the pixels that the gate admits."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.drift.statistics import kelvin

Change = Callable[[np.random.Generator, Pixels], Pixels]


def colour(kelvins: float) -> Change:
    """Gains on red and blue that move the mean colour's temperature by so much."""

    def change(_rng: np.random.Generator, pixels: Pixels) -> Pixels:
        mean = pixels.reshape(-1, 3).mean(axis=0)
        wanted, low, high = kelvin(*mean) + kelvins, -0.5, 0.5
        for _ in range(30):
            tilt = (low + high) / 2
            if kelvin(mean[0] * (1 - tilt), mean[1], mean[2] * (1 + tilt)) < wanted:
                low = tilt
            else:
                high = tilt
        return _clipped(pixels * np.array([1 - tilt, 1, 1 + tilt]))

    return change


def highlights(factor: float) -> Change:
    """So many times as many saturated pixels: the next brightest ones are saturated."""

    def change(_rng: np.random.Generator, pixels: Pixels) -> Pixels:
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        share = min(1.0, factor * float((grey >= 250).mean()))
        changed = pixels.copy()
        changed[grey >= np.quantile(grey, 1 - share)] = 255
        return changed

    return change


def blur(sigma: float) -> Change:
    """A lens out of focus."""
    return lambda _rng, pixels: np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8)


def noise(counts: float) -> Change:
    """A sensor with more gain."""
    return lambda rng, pixels: _clipped(pixels + rng.normal(0, counts, pixels.shape))


def exposure(gain: float) -> Change:
    """More or less light."""
    return lambda _rng, pixels: _clipped(pixels * gain)


def _clipped(values: npt.NDArray[np.floating[Any]]) -> Pixels:
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def hair(rng: np.random.Generator, pixels: Pixels) -> Pixels:
    """A dark fibre of some 75 pixels on the part, which no model here has been shown."""
    height, width = pixels.shape[:2]
    place = rng.uniform(0.2, 0.8, 2) * (width, height)
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.25, 30))
    steps = 2.5 * np.column_stack((np.cos(turns), np.sin(turns)))
    path = np.rint(place + np.cumsum(steps, axis=0)).astype(np.int32)
    changed = pixels.copy()
    cv2.polylines(changed, [path], isClosed=False, color=(35, 30, 28), lineType=cv2.LINE_AA)
    return changed


CHANGES: dict[str, Change] = {
    **{f"colour {k:+d} K": colour(k) for k in (300, -300, 600, -600, 1200, -1200)},
    **{f"highlights x{f:g}": highlights(f) for f in (1.5, 2, 3)},
    **{f"blur sigma {s:g} px": blur(s) for s in (0.5, 0.8, 1.2)},
    **{f"noise +{c:g} grey levels": noise(c) for c in (3, 6)},
    **{f"exposure x{g:g}": exposure(g) for g in (0.9, 0.8, 1.1, 1.25)},
}
HARSH: dict[str, Change] = {
    "highlights x8": highlights(8),
    "blur sigma 3 px": blur(3),
    **{f"noise +{c:g} grey levels": noise(c) for c in (12, 24)},
    "exposure x0.5": exposure(0.5),
}
"""Beyond what any line should be run at."""
