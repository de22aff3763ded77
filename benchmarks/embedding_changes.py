"""Changes of the line that mean light, colour and sharpness hardly know: made to its pixels.

Each keeps the frame's brightness, contrast and sharpness close to what they were and changes what the
network sees; how far each moves them all the same, the result says in figures.
"""

import cv2
import numpy as np

from benchmarks.drift_changes import Change
from edge_runtime.contracts.frame import Pixels


def clipped(values: np.ndarray) -> Pixels:
    """As grey levels."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def fibres(share: float) -> Change:
    """A defect that training had none of, on so many parts: a dark fibre lies across the seam."""

    def change(rng: np.random.Generator, pixels: Pixels) -> Pixels:
        if rng.uniform() >= share:
            return pixels
        size = pixels.shape[0]
        along = np.linspace(0, 1, 40)
        start, end = rng.uniform(0.1, 0.9, 2) * size, rng.uniform(0.1, 0.9, 2) * size
        bow = rng.uniform(-0.35, 0.35) * size * np.sin(np.pi * along)
        path = start + along[:, None] * (end - start)
        path[:, 0] += bow
        changed = pixels.copy()
        points, dark = [path.round().astype(np.int32)], (35, 30, 28)
        cv2.polylines(changed, points, False, dark, 3, cv2.LINE_AA)
        return changed

    return change


def loose_fixture(pixels_off: float) -> Change:
    """Parts lie less alike than before: moved at random, by whole pixels so that nothing is blurred."""

    def change(rng: np.random.Generator, pixels: Pixels) -> Pixels:
        down, right = rng.normal(0, pixels_off, 2).round().astype(int)
        room = int(np.abs([down, right]).max())
        wide = cv2.copyMakeBorder(pixels, room, room, room, room, cv2.BORDER_REFLECT)
        height, width = pixels.shape[:2]
        top, left = room - down, room - right
        return np.ascontiguousarray(wide[top : top + height, left : left + width])

    return change


def rolled(grey_levels: float) -> Change:
    """Plates with another surface: the lines of another roll, so strong and a few pixels apart."""

    def change(rng: np.random.Generator, pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        rows, columns = np.mgrid[:height, :width]
        phase, angle = rng.uniform(0, 2 * np.pi), np.deg2rad(70)
        wave = np.sin(2 * np.pi / 11 * (columns * np.cos(angle) + rows * np.sin(angle)) + phase)
        return clipped(pixels + grey_levels * wave[..., None])

    return change


def turned(quarters: int) -> Change:
    """The camera was put back the other way round."""
    return lambda _rng, pixels: np.ascontiguousarray(np.rot90(pixels, quarters))


CHANGES: dict[str, Change] = {
    **{f"new defect (fibre) on {s:.0%} of parts": fibres(s) for s in (0.05, 0.1, 0.2)},
    **{f"wider scatter, {p:g} px": loose_fixture(p) for p in (6, 12)},
    **{f"new surface, lines of {g:g} grey levels": rolled(g) for g in (2, 4, 8)},
    "camera turned by 90 degrees": turned(1),
    "camera turned by 180 degrees": turned(2),
}
