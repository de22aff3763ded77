"""Arithmetic on planes, the float32 pictures of one value per pixel that a crop is computed from.

Thin, typed fronts to the OpenCV calls that are faster than their numpy spelling, and soft noise. A line
must outrun its camera: an operation on a 256x256 plane takes 12 to 20 us, a three-channel float one ten
times that, so colours meet only when they are bytes.
"""

from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

Plane: TypeAlias = npt.NDArray[np.float32]
"""Shape (rows, columns), float32."""
Index: TypeAlias = npt.NDArray[np.uint8]
"""Shape (rows, columns), places in a table of 256."""
Curve: TypeAlias = npt.NDArray[np.float32]
"""One value per column, or a table of 256: shape (n,), float32."""

_STEP = np.array([[-1, 1, 0]], np.float32)
_FAR = np.array([60.0])


def add_scaled(onto: Plane, plane: Plane, factor: float) -> None:
    """onto += plane * factor."""
    cv2.scaleAdd(plane, factor, onto, onto)


def bell(plane: Plane) -> Plane:
    """exp(-plane), for a plane of squared distances; overwrites it."""
    # Further out the result is a denormal number, and those are a hundred times slower to work with.
    cv2.min(plane, _FAR, plane)
    np.negative(plane, out=plane)
    return np.asarray(cv2.exp(plane, plane), np.float32)


def root(plane: Plane) -> Plane:
    """Square root."""
    return np.asarray(cv2.sqrt(plane), np.float32)


def at_least(plane: Plane, low: float) -> Plane:
    """The plane, raised to `low` where it is lower; overwrites it."""
    return np.asarray(cv2.max(plane, np.array([low]), plane), np.float32)


def limited(plane: Plane, low: float, high: float) -> Plane:
    """The plane held between two values; overwrites it."""
    return np.clip(plane, np.float32(low), np.float32(high), out=plane)


def slopes(height: Plane) -> tuple[Plane, Plane]:
    """Rise per pixel, downwards and to the right."""
    down = cv2.filter2D(height, cv2.CV_32F, _STEP.T)
    right = cv2.filter2D(height, cv2.CV_32F, _STEP)
    return np.asarray(down, np.float32), np.asarray(right, np.float32)


def index(plane: Plane, factor: float, offset: float = 0.0) -> Index:
    """plane * factor + offset, rounded and held between 0 and 255."""
    return np.asarray(cv2.addWeighted(plane, factor, plane, 0.0, offset, dtype=cv2.CV_8U), np.uint8)


def looked_up(places: Index, table: Curve) -> Plane:
    """The table's value at each place."""
    return np.asarray(cv2.LUT(places, table), np.float32)


def enlarged(plane: Plane, rows: int, columns: int) -> Plane:
    """Resized linearly."""
    return np.asarray(
        cv2.resize(plane, (columns, rows), interpolation=cv2.INTER_LINEAR), np.float32
    )


def soft_noise(rng: np.random.Generator, cells: int, size: int) -> Plane:
    """Soft noise with `cells` bumps across; of about unit deviation at the bumps' middles."""
    return enlarged(rng.standard_normal((cells, cells), dtype=np.float32), size, size)


def soft_line(rng: np.random.Generator, cells: int, size: int) -> Curve:
    """Soft noise along a line of `size` pixels. Cubic: a highlight along the bead would show kinks."""
    knots = rng.standard_normal((1, cells), dtype=np.float32)
    line = cv2.resize(knots, (size, 1), interpolation=cv2.INTER_CUBIC)
    return np.asarray(line[0], np.float32)
