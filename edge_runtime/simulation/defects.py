"""The five defects, and the harmless marks of good parts that look like them.

Each function changes a `Surface` in place and returns the point (x, y) it is centred on, which is always
inside the crop. Severity is drawn inside: most are plain, a tail is near the limit of what can be seen.
A misaligned weld is no mark but a geometry, so its function draws an offset for `seam.weld` instead.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.simulation.planes import Plane, bell, enlarged, limited
from edge_runtime.simulation.seam import TOLERANCE, Surface

Point: TypeAlias = tuple[float, float]
Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of a crop that a mark stays within."""

_SUBPIXEL = 4  # bits of sub-pixel precision that OpenCV's line drawing takes
_EDGE = 4  # pixels that paths and pits keep off the crop's edge


def _severity(rng: np.random.Generator) -> float:
    """0.25 to 1, mostly above 0.5: only the tail is hard to see."""
    return 0.25 + 0.75 * float(rng.beta(2.6, 1.5))


def _on_seam(rng: np.random.Generator, surface: Surface, reach: float, margin: float) -> Point:
    """A point within `reach` half-widths of the bead's middle, `margin` of the size off the edge."""
    size = surface.size
    x = rng.uniform(margin, 1 - margin) * size
    y = float(surface.centre[int(x)]) + rng.uniform(-reach, reach) * surface.half_width
    return x, float(np.clip(y, margin * size, (1 - margin) * size))


def _on_plate(rng: np.random.Generator, surface: Surface, nearest: float, margin: float) -> Point:
    """A point on a plate, `nearest` half-widths or more from the bead's middle where there is room."""
    size = surface.size
    x = rng.uniform(margin, 1 - margin) * size
    middle = float(surface.centre[int(x)])
    clear = nearest * surface.half_width
    above = max(0.0, middle - clear - margin * size)
    below = max(0.0, size * (1 - margin) - middle - clear)
    along = rng.uniform(0.0, above + below)
    y = margin * size + along if along < above else middle + clear + (along - above)
    return x, float(np.clip(y, margin * size, (1 - margin) * size))


def _window(size: int, x: float, y: float, across: float, down: float) -> Window:
    return (
        slice(max(0, int(y - down)), min(size, int(y + down) + 2)),
        slice(max(0, int(x - across)), min(size, int(x + across) + 2)),
    )


def _distances(window: Window, x: float, y: float) -> tuple[Plane, Plane]:
    """Of a window's pixels from a point: to the right (one row) and downwards (one column)."""
    rows, columns = window
    right = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(x)
    down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(y)
    return right, down


def _disc(surface: Surface, x: float, y: float, reach: float) -> tuple[Window, Plane]:
    """The window around a point, and each of its pixels' distance from it."""
    window = _window(surface.size, x, y, reach, reach)
    right, down = _distances(window, x, y)
    return window, np.sqrt(right * right + down * down)


def _stroke(size: int, path: npt.NDArray[np.float64], thickness: int = 1) -> tuple[Window, Plane]:
    """An antialiased line through points (x, y): the window it lies in, and its cover from 0 to 1."""
    (left, top), (right, bottom) = path.min(axis=0), path.max(axis=0)
    window = _window(
        size,
        (left + right) / 2,
        (top + bottom) / 2,
        (right - left) / 2 + 3,
        (bottom - top) / 2 + 3,
    )
    rows, columns = window
    mask = np.zeros(
        (max(0, rows.stop - rows.start), max(0, columns.stop - columns.start)), np.uint8
    )
    if mask.size:
        fixed = np.rint((path - (columns.start, rows.start)) * 2**_SUBPIXEL).astype(np.int32)
        cv2.polylines(mask, [fixed], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL)
    return window, mask.astype(np.float32) * np.float32(1 / 255)


def _walk(
    rng: np.random.Generator, start: Point, heading: float, length: float, step: float
) -> npt.NDArray[np.float64]:
    """A jagged path of points (x, y) through `start`: a kink at each step, a heading that wanders."""
    count = max(5, int(length / step))
    angles = heading + np.cumsum(rng.normal(0.0, 0.19, count)) + rng.normal(0.0, 0.55, count)
    strides = step * rng.uniform(0.5, 1.5, count)
    path = np.stack([np.cos(angles) * strides, np.sin(angles) * strides], axis=1).cumsum(axis=0)
    return np.asarray(path - path[count // 2] + np.array(start), np.float64)


def micro_crack(rng: np.random.Generator, surface: Surface) -> Point:
    """A hairline, one to two pixels wide, jagged and dark, in the bead or along its toe."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    length = scale * (38 + 95 * severity * rng.uniform(0.6, 1.0))
    along_seam = rng.uniform() < 0.6
    start = _on_seam(rng, surface, 1.05 if along_seam else 0.5, 0.27)
    heading = rng.normal(0.0, 0.22) if along_seam else np.pi / 2 + rng.normal(0.0, 0.35)
    path = np.clip(_walk(rng, start, heading, length, 4.5 * scale), _EDGE, size - _EDGE)
    _split(surface, path, 1, severity)
    if severity > 0.6:
        # A stretch in the middle gapes, two pixels wide.
        third = len(path) // 3
        _split(surface, path[third : len(path) - third], 2, 0.6 * severity)
    if rng.uniform() < 0.45:
        fork = path[rng.integers(len(path) // 4, 3 * len(path) // 4)]
        turn = rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.1)
        branch = _walk(rng, (fork[0], fork[1]), heading + turn, length * 0.4, 4 * scale)
        branch += fork - branch[0]
        _split(surface, np.clip(branch, _EDGE, size - _EDGE), 1, 0.75 * severity)
    return start


def _split(
    surface: Surface, path: npt.NDArray[np.float64], thickness: int, severity: float
) -> None:
    """A crack swallows light, mirrored light too, and its lips catch a little of it."""
    window, mask = _stroke(surface.size, path, thickness)
    depth = np.float32(0.45 + 0.5 * severity)
    surface.albedo[window] *= 1 - depth * mask
    surface.gloss[window] *= 1 - limited(np.float32(1.5 * depth) * mask, 0.0, 0.97)
    surface.height[window] -= np.float32(0.5 * surface.scale) * mask


_FILMS = (
    # Red, green, blue that a film lets through.
    (0.42, 0.30, 0.17),  # burnt oil
    (0.26, 0.24, 0.23),  # soot
    (0.50, 0.40, 0.22),  # flux
    (0.34, 0.33, 0.40),  # grease with metal dust
    (0.66, 0.46, 0.26),  # as straw and brown heat tint
    (0.40, 0.45, 0.62),  # as blue heat tint
)


def contamination(rng: np.random.Generator, surface: Surface) -> Point:
    """A ragged, matt film of oil, soot or dust; its browns and blues are those of heat tint."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    radius = scale * (15 + 30 * severity * rng.uniform(0.6, 1.0))
    if rng.uniform() < 0.5:
        x, y = _on_seam(rng, surface, 1.6, 0.22)
    else:
        x, y = _on_plate(rng, surface, 1.0, 0.20)
    stretch, turn = rng.uniform(0.65, 1.5), rng.uniform(0, np.pi)
    window = _window(size, x, y, 2.2 * radius, 2.2 * radius)
    right, down = _distances(window, x, y)
    cosine, sine = np.float32(np.cos(turn) / radius), np.float32(np.sin(turn) / radius)
    along = (right * cosine + down * sine) * np.float32(1 / stretch)
    across = (down * cosine - right * sine) * np.float32(stretch)
    field = 1 - np.sqrt(along * along + across * across)
    rows, columns = field.shape
    for cells, share in ((5, 0.26), (17, 0.13)):
        grid = rng.standard_normal((cells, cells), dtype=np.float32) * np.float32(share)
        field += enlarged(grid, rows, columns)
    film = limited(field * np.float32(rng.uniform(1.8, 7.0)), 0.0, 1.0)
    blotches = enlarged(rng.standard_normal((11, 11), dtype=np.float32), rows, columns)
    film *= limited(blotches * np.float32(0.22) + np.float32(0.80), 0.35, 1.0)
    if rng.uniform() < 0.4:
        film += np.float32(0.5) * bell(
            (field - np.float32(0.06)) ** 2 * np.float32(260)
        )  # dried rim
    film *= np.float32(0.45 + 0.5 * severity)
    limited(film, 0.0, 1.0)
    surface.gloss[window] *= 1 - np.float32(0.80) * film
    for plane, tint in zip(surface.colour, _FILMS[rng.integers(len(_FILMS))], strict=True):
        plane[window] *= 1 - np.float32(1 - tint) * film
    return x, y


def porosity(rng: np.random.Generator, surface: Surface) -> Point:
    """Gas pores: small round pits in the bead, in a nest or in a row along it."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    x, y = _on_seam(rng, surface, 0.45, 0.25)
    in_row = rng.uniform() < 0.4
    spread = scale * (rng.uniform(26, 50) if in_row else rng.uniform(9, 20))
    sideways = scale * (3.0 if in_row else rng.uniform(6, 12))
    limit = 0.82 * surface.half_width
    for number in range(3 + int(rng.poisson(5.5 * severity))):
        px, py = x, y
        if number:
            px = float(np.clip(x + rng.normal(0, spread), _EDGE, size - _EDGE))
            middle = float(surface.centre[int(px)])
            py = float(np.clip(y + rng.normal(0, sideways), middle - limit, middle + limit))
        radius = float(np.clip(rng.lognormal(0.72, 0.32), 1.3, 4.6)) * (0.75 + 0.35 * severity)
        _pit(surface, px, py, scale * radius, 0.5 + 0.5 * severity)
    return x, y


def _pit(surface: Surface, x: float, y: float, radius: float, depth: float) -> None:
    """A round hole: dark inside, with a wall that the lamps pick out."""
    window, distance = _disc(surface, x, y, radius * 2.2)
    hole = 1 / (1 + np.exp((distance / np.float32(radius) - 1) * np.float32(5.5)))
    surface.albedo[window] *= 1 - np.float32(0.88 * depth) * hole
    surface.gloss[window] *= 1 - np.float32(0.96 * depth) * hole
    surface.height[window] -= np.float32(0.55 * radius * depth) * hole


def spatter(rng: np.random.Generator, surface: Surface) -> Point:
    """Droplets that flew out of the pool and froze, mostly on the plates."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    x, y = _on_plate(rng, surface, 1.25, 0.15)
    spread = scale * rng.uniform(22, 60)
    for number in range(3 + int(rng.poisson(7 * severity))):
        px, py = x, y
        if number:
            px = float(np.clip(x + rng.normal(0, spread), _EDGE, size - _EDGE))
            py = float(np.clip(y + rng.normal(0, 0.7 * spread), _EDGE, size - _EDGE))
        radius = float(np.clip(rng.lognormal(0.85, 0.38), 1.4, 6.5)) * (0.75 + 0.4 * severity)
        _droplet(surface, px, py, scale * radius, rng.uniform(0.5, 0.9))
    return x, y


def _droplet(surface: Surface, x: float, y: float, radius: float, lift: float) -> None:
    """A dome with a rim of scorched metal around it."""
    window, distance = _disc(surface, x, y, radius * 2.4)
    ratio = distance / np.float32(radius)
    surface.height[window] += np.float32(lift * radius) * np.sqrt(np.maximum(0, 1 - ratio * ratio))
    scorch = np.exp(-(((ratio - np.float32(1.15)) / np.float32(0.4)) ** 2))
    inside = limited((np.float32(1.1) - ratio) * 4, 0.0, 1.0)
    albedo, gloss = surface.albedo[window], surface.gloss[window]
    albedo *= 1 - np.float32(0.70) * scorch
    albedo += (np.float32(0.34) - albedo) * inside * np.float32(0.7)
    gloss *= 1 - np.float32(0.75) * scorch
    gloss += (1 - gloss) * inside


def misaligned_offset(rng: np.random.Generator) -> float:
    """A bead off its joint, in half-widths: from just out of tolerance to laying the gap open."""
    beyond = 0.16 + 0.85 * float(rng.beta(1.6, 2.0))
    return float(rng.choice([-1.0, 1.0])) * (TOLERANCE + beyond)


MARKS: Mapping[str, Callable[[np.random.Generator, Surface], Point]] = MappingProxyType(
    {
        "micro_crack": micro_crack,
        "contamination": contamination,
        "porosity": porosity,
        "spatter": spatter,
    }
)
"""What damages a surface, by label."""


def harmless(rng: np.random.Generator, surface: Surface, *, scratches: float) -> None:
    """What any part may carry: scratches, dust specks, a wider patch of heat tint."""
    for _ in range(min(4, int(rng.poisson(scratches)))):
        _scratch(rng, surface)
    for _ in range(int(rng.poisson(1.2))):
        x, y = _on_plate(rng, surface, 1.1, 0.03)
        radius = surface.scale * rng.uniform(0.6, 1.3)
        window, distance = _disc(surface, x, y, 3 * radius)
        speck = np.exp(-((distance / np.float32(radius)) ** 2))
        surface.albedo[window] *= 1 - np.float32(rng.uniform(0.25, 0.6)) * speck
    if rng.uniform() < 0.35:
        _hot_spot(rng, surface)


def _scratch(rng: np.random.Generator, surface: Surface) -> None:
    """A handling mark: smooth, straight or a wide arc, bright where it mirrors; a crack is jagged."""
    scale = surface.scale
    middle = rng.uniform(0.05, 0.95, 2) * surface.size
    heading = rng.normal(0.0, 0.5) if rng.uniform() < 0.6 else rng.uniform(0, np.pi)
    angles = heading + rng.normal(0.0, 0.25) * np.linspace(-0.5, 0.5, 9)
    step = scale * rng.uniform(25, 130) / 8
    path = np.stack([np.cos(angles), np.sin(angles)], axis=1).cumsum(axis=0) * step
    window, mask = _stroke(surface.size, path + middle - path[4])
    depth = rng.uniform(0.2, 0.8)
    surface.height[window] -= np.float32(0.55 * scale * depth) * mask
    surface.albedo[window] *= 1 + np.float32(rng.uniform(-0.10, 0.45) * depth) * mask


def _hot_spot(rng: np.random.Generator, surface: Surface) -> None:
    """A stop-and-start of the torch: a soft, round cloud of straw or blue at the bead's flank."""
    scale = surface.scale
    x, _ = _on_seam(rng, surface, 0.0, 0.1)
    side = rng.choice([-1.0, 1.0]) * rng.uniform(0.9, 1.5)
    y = float(surface.centre[int(x)]) + side * surface.half_width
    width, height = scale * rng.uniform(22, 46), scale * rng.uniform(14, 26)
    window = _window(surface.size, x, y, 2.5 * width, 2.5 * height)
    right, down = _distances(window, x, y)
    cloud = np.exp(-((right / np.float32(width)) ** 2)) * np.exp(
        -((down / np.float32(height)) ** 2)
    )
    cloud *= np.float32(rng.uniform(0.3, 0.75))
    hue = (0.80, 0.62, 0.40) if rng.uniform() < 0.6 else (0.55, 0.58, 0.78)
    for plane, tint in zip(surface.colour, hue, strict=True):
        plane[window] *= 1 - np.float32(1 - tint) * cloud


def glints(rng: np.random.Generator, surface: Surface, *, expected: float) -> Plane | None:
    """Reflections of fixtures and sparks of the brushing, as mirrored light; None without any."""
    size, scale = surface.size, surface.scale
    bars, sparks = int(rng.poisson(0.3 * expected)), int(rng.poisson(0.7 * expected))
    if bars + sparks == 0:
        return None
    light = np.zeros((size, size), np.float32)
    if bars:
        light += enlarged(_bars(rng, min(bars, 2), size // 4, scale / 4), size, size)
    for _ in range(min(sparks, 4)):
        x, y = rng.uniform(0, size, 2)
        thickness = scale * rng.uniform(0.8, 2.2)
        length = thickness * rng.uniform(1.0, 7.0)
        window = _window(size, x, y, 2.6 * length, 2.6 * thickness)
        right, down = _distances(window, x, y)
        spark = np.exp(-((right / np.float32(length)) ** 2)) * np.exp(
            -((down / np.float32(thickness)) ** 2)
        )
        light[window] += np.float32(rng.uniform(0.3, 1.3)) * spark
    light *= surface.gloss
    return light


def _bars(rng: np.random.Generator, count: int, size: int, scale: float) -> Plane:
    """Upright, leaning, soft-edged reflections of a fixture's bars."""
    axis = np.arange(size, dtype=np.float32)
    light = np.zeros((size, size), np.float32)
    for _ in range(count):
        lean, place = rng.normal(0.0, 0.25), rng.uniform(0, size)
        distance = (
            axis + np.float32(lean) * (axis[:, None] - size / 2) - np.float32(place)
        ).astype(np.float32)
        distance *= np.float32(1 / (scale * rng.uniform(4, 16)))
        distance *= distance
        light += np.float32(rng.uniform(0.06, 0.24)) * bell(distance)
    return light
