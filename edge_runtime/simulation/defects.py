"""The five defects, and the harmless marks of good parts that look like them.

Each function changes a `Surface` in place and returns the point (x, y) it is centred on, which is always
inside the crop. Severity is drawn inside: most are plain, a tail is near the limit of what can be seen.
A misaligned weld is no mark but a geometry, so its function draws an offset for `seam.weld` instead.
"""

from collections.abc import Callable
from types import MappingProxyType
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.simulation.seam import TOLERANCE, Plane, Surface, smooth_noise

Point: TypeAlias = tuple[float, float]

_SUBPIXEL = 4  # bits of sub-pixel precision that OpenCV's line drawing takes


def _severity(rng: np.random.Generator) -> float:
    """0.25 to 1, mostly above 0.5: only the tail is hard to see."""
    return 0.25 + 0.75 * float(rng.beta(2.6, 1.5))


def _stroke(size: int, points: npt.NDArray[np.float64], thickness: int = 1) -> Plane:
    """An antialiased line as a plane of 0 to 1."""
    mask = np.zeros((size, size), np.uint8)
    fixed = np.rint(points * 2**_SUBPIXEL).astype(np.int32)
    cv2.polylines(mask, [fixed], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL)
    return mask.astype(np.float32) * np.float32(1 / 255)


def _on_seam(rng: np.random.Generator, surface: Surface, reach: float, margin: float) -> Point:
    """A point within `reach` half-widths of the bead's centre line, `margin` of the size off the edge."""
    size = surface.size
    x = rng.uniform(margin, 1 - margin) * size
    y = surface.centre[int(x)] + rng.uniform(-reach, reach) * surface.half_width
    return x, float(np.clip(y, margin * size, (1 - margin) * size))


def _on_plate(rng: np.random.Generator, surface: Surface, nearest: float, margin: float) -> Point:
    """A point on a plate, at least `nearest` half-widths from the bead's centre line where there is room."""
    size = surface.size
    x = rng.uniform(margin, 1 - margin) * size
    middle = surface.centre[int(x)]
    clear = nearest * surface.half_width
    above = max(0.0, middle - clear - margin * size)
    below = max(0.0, size * (1 - margin) - middle - clear)
    along = rng.uniform(0.0, above + below)
    y = margin * size + along if along < above else middle + clear + (along - above)
    return x, float(np.clip(y, margin * size, (1 - margin) * size))


def _walk(
    rng: np.random.Generator,
    start: Point,
    heading: float,
    length: float,
    step: float,
    jitter: float,
) -> npt.NDArray[np.float64]:
    """A jagged path: kinks at every step, around a heading that itself wanders."""
    count = max(4, int(length / step))
    wander = np.cumsum(rng.normal(0.0, jitter * 0.35, count))
    angles = heading + wander + rng.normal(0.0, jitter, count)
    strides = step * rng.uniform(0.5, 1.5, count)
    path = np.stack([np.cos(angles) * strides, np.sin(angles) * strides], axis=1).cumsum(axis=0)
    path -= path[count // 2]
    return path + np.array(start)


def micro_crack(rng: np.random.Generator, surface: Surface) -> Point:
    """A hairline, one to two pixels wide, jagged, dark, in the bead or along its toe."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    length = scale * (38 + 95 * severity * rng.uniform(0.6, 1.0))
    if rng.uniform() < 0.6:
        start = _on_seam(rng, surface, 1.05, 0.28)
        heading = rng.normal(0.0, 0.22)
    else:
        start = _on_seam(rng, surface, 0.5, 0.25)
        heading = np.pi / 2 + rng.normal(0.0, 0.35)
    path = _walk(rng, start, heading, length, 4.5 * scale, 0.55)
    path = np.clip(path, 3, size - 4)
    mask = _stroke(size, path)
    if severity > 0.6:
        # A wide-open stretch in the middle, two pixels across.
        third = len(path) // 3
        mask = np.maximum(mask, 0.8 * _stroke(size, path[third : len(path) - third], 2))
    if rng.uniform() < 0.45:
        fork = path[rng.integers(len(path) // 4, 3 * len(path) // 4)]
        branch = _walk(
            rng,
            (fork[0], fork[1]),
            heading + rng.choice([-1, 1]) * rng.uniform(0.5, 1.1),
            length * 0.4,
            4.0 * scale,
            0.5,
        )
        branch += fork - branch[0]
        mask = np.maximum(mask, 0.75 * _stroke(size, np.clip(branch, 3, size - 4)))
    depth = np.float32(0.45 + 0.5 * severity)
    # It swallows light, mirrored light too, and its lips catch a little of it.
    surface.albedo *= 1 - depth * mask
    surface.gloss *= 1 - np.float32(0.97) * cv2.min(mask * np.float32(1.5 * depth), 1.0)
    surface.height -= np.float32(0.5 * scale) * mask
    return start


def contamination(rng: np.random.Generator, surface: Surface) -> Point:
    """A ragged, matt film of oil, soot or dust; its browns and blues are those of heat tint."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    radius = scale * (15 + 30 * severity * rng.uniform(0.6, 1.0))
    if rng.uniform() < 0.5:
        x, y = _on_seam(rng, surface, 1.6, 0.22)
    else:
        x, y = _on_plate(rng, surface, 1.0, 0.20)
    stretch = rng.uniform(0.65, 1.5)
    turn = rng.uniform(0, np.pi)
    axis = np.arange(size, dtype=np.float32)
    dx, dy = axis[None, :] - np.float32(x), axis[:, None] - np.float32(y)
    along = (dx * np.float32(np.cos(turn)) + dy * np.float32(np.sin(turn))) * np.float32(
        1 / (radius * stretch)
    )
    across = (dy * np.float32(np.cos(turn)) - dx * np.float32(np.sin(turn))) * np.float32(
        stretch / radius
    )
    field = 1 - cv2.sqrt(along * along + across * across)
    field += np.float32(0.26) * smooth_noise(rng, 9, size)
    field += np.float32(0.13) * smooth_noise(rng, 34, size)
    edge = rng.uniform(2.5, 7.0)
    film = np.clip(field * np.float32(edge), 0, 1)
    blotchy = np.clip(0.80 + 0.22 * smooth_noise(rng, 22, size), 0.35, 1.0)
    strength = np.float32(0.42 + 0.5 * severity)
    film *= blotchy * strength
    if rng.uniform() < 0.4:
        # A dried rim, darker than the inside.
        film += strength * np.float32(0.5) * cv2.exp(-((field - 0.06) ** 2) * 260)
        film = cv2.min(film, 1.0)
    kinds = ((0.42, 0.30, 0.17), (0.26, 0.24, 0.23), (0.50, 0.40, 0.22), (0.34, 0.33, 0.40))
    hue = kinds[rng.integers(len(kinds))]
    surface.gloss *= 1 - np.float32(0.80) * film
    for plane, tint in zip(surface.colour, hue, strict=True):
        plane *= 1 - np.float32(1 - tint) * film
    return x, y


def _pit(surface: Surface, x: float, y: float, radius: float, depth: float) -> None:
    """A round hole: dark inside, with a wall that the lamps pick out."""
    rows, columns, distance = _disc(surface, x, y, radius * 2.2)
    hole = 1 / (1 + np.exp((distance / radius - 1) * np.float32(5.5)))
    surface.albedo[rows, columns] *= 1 - np.float32(0.88 * depth) * hole
    surface.gloss[rows, columns] *= 1 - np.float32(0.96 * depth) * hole
    surface.height[rows, columns] -= np.float32(0.55 * radius * depth) * hole


def _bead(surface: Surface, x: float, y: float, radius: float, lift: float) -> None:
    """A solidified droplet: a dome with a halo of scorched metal around it."""
    rows, columns, distance = _disc(surface, x, y, radius * 2.4)
    ratio = distance / np.float32(radius)
    dome = np.sqrt(np.maximum(0, 1 - ratio * ratio))
    inside = np.clip((1.1 - ratio) * 4, 0, 1)
    surface.height[rows, columns] += np.float32(lift * radius) * dome
    scorch = np.exp(-(((ratio - 1.15) / 0.4) ** 2))
    surface.albedo[rows, columns] *= 1 - np.float32(0.55) * scorch
    surface.albedo[rows, columns] += (
        (np.float32(0.40) - surface.albedo[rows, columns]) * inside * 0.7
    )
    gloss = surface.gloss[rows, columns]
    gloss *= 1 - np.float32(0.6) * scorch
    gloss += (1 - gloss) * inside


def _disc(
    surface: Surface, x: float, y: float, reach: float
) -> tuple[slice, slice, npt.NDArray[np.float32]]:
    """The window around a point, and each of its pixels' distance from it."""
    size = surface.size
    top, bottom = max(0, int(y - reach)), min(size, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(size, int(x + reach) + 2)
    dy = np.arange(top, bottom, dtype=np.float32)[:, None] - np.float32(y)
    dx = np.arange(left, right, dtype=np.float32)[None, :] - np.float32(x)
    return slice(top, bottom), slice(left, right), np.sqrt(dx * dx + dy * dy)


def porosity(rng: np.random.Generator, surface: Surface) -> Point:
    """Gas pores: small round pits in the bead, in a nest or in a row along it."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    x, y = _on_seam(rng, surface, 0.45, 0.25)
    count = 3 + int(rng.poisson(5.5 * severity))
    in_row = rng.uniform() < 0.4
    spread = scale * rng.uniform(26, 50) if in_row else scale * rng.uniform(9, 20)
    rows = scale * (3.0 if in_row else rng.uniform(6, 12))
    for number in range(count):
        px = x if number == 0 else float(np.clip(x + rng.normal(0, spread), 5, size - 6))
        middle = surface.centre[int(px)]
        limit = 0.82 * surface.half_width
        py = (
            y
            if number == 0
            else float(np.clip(y + rng.normal(0, rows), middle - limit, middle + limit))
        )
        radius = (
            scale * float(np.clip(rng.lognormal(0.72, 0.32), 1.3, 4.6)) * (0.75 + 0.35 * severity)
        )
        _pit(surface, px, float(np.clip(py, 5, size - 6)), radius, 0.5 + 0.5 * severity)
    return x, y


def spatter(rng: np.random.Generator, surface: Surface) -> Point:
    """Droplets that flew out of the pool and froze on the plates, thinning out away from the bead."""
    size, scale = surface.size, surface.scale
    severity = _severity(rng)
    count = 3 + int(rng.poisson(7 * severity))
    x, y = _on_plate(rng, surface, 1.25, 0.15)
    spread = scale * rng.uniform(22, 60)
    for number in range(count):
        if number == 0:
            px, py = x, y
        else:
            px = float(np.clip(x + rng.normal(0, spread), 5, size - 6))
            py = float(np.clip(y + rng.normal(0, spread * 0.7), 5, size - 6))
        radius = (
            scale * float(np.clip(rng.lognormal(0.85, 0.38), 1.4, 6.5)) * (0.75 + 0.4 * severity)
        )
        _bead(surface, px, py, radius, rng.uniform(0.5, 0.9))
    return x, y


def misaligned_offset(rng: np.random.Generator) -> float:
    """A bead off its joint, in half-widths: from just out of tolerance to laying the gap open."""
    beyond = 0.16 + 0.85 * float(rng.beta(1.6, 2.0))
    return float(rng.choice([-1.0, 1.0])) * (TOLERANCE + beyond)


MARKS = MappingProxyType[str, Callable[[np.random.Generator, Surface], Point]](
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
    size, scale = surface.size, surface.scale
    for _ in range(min(4, int(rng.poisson(scratches)))):
        _scratch(rng, surface)
    for _ in range(int(rng.poisson(1.2))):
        x, y = _on_plate(rng, surface, 1.1, 0.03)
        rows, columns, distance = _disc(surface, x, y, 4 * scale)
        speck = np.exp(-((distance / np.float32(scale * rng.uniform(0.6, 1.3))) ** 2))
        surface.albedo[rows, columns] *= 1 - np.float32(rng.uniform(0.25, 0.6)) * speck
    if rng.uniform() < 0.35:
        _hot_spot(rng, surface, size)


def _scratch(rng: np.random.Generator, surface: Surface) -> None:
    """A handling mark: smooth, straight or a wide arc, bright where it mirrors; not jagged as a crack."""
    size, scale = surface.size, surface.scale
    x, y = rng.uniform(0.05, 0.95, 2) * size
    heading = rng.normal(0.0, 0.5) if rng.uniform() < 0.6 else rng.uniform(0, np.pi)
    length = scale * rng.uniform(25, 130)
    bend = rng.normal(0.0, 0.25)
    t = np.linspace(-0.5, 0.5, 9)
    angles = heading + bend * t
    path = np.stack([np.cos(angles), np.sin(angles)], axis=1) * (length / 8)
    path = path.cumsum(axis=0)
    path += np.array([x, y]) - path[4]
    mask = _stroke(size, path)
    depth = rng.uniform(0.2, 0.8)
    surface.height -= np.float32(0.55 * scale * depth) * mask
    surface.albedo *= 1 + np.float32(rng.uniform(-0.10, 0.45) * depth) * mask


def _hot_spot(rng: np.random.Generator, surface: Surface, size: int) -> None:
    """A stop-and-start of the torch: a soft, round cloud of straw and blue at the bead's flank."""
    scale = surface.scale
    x, _ = _on_seam(rng, surface, 0.0, 0.1)
    y = surface.centre[int(x)] + rng.choice([-1, 1]) * surface.half_width * rng.uniform(0.9, 1.5)
    axis = np.arange(size, dtype=np.float32)
    width, height = scale * rng.uniform(22, 46), scale * rng.uniform(14, 26)
    across = np.exp(-(((axis - np.float32(x)) / np.float32(width)) ** 2))[None, :]
    down = np.exp(-(((axis - np.float32(y)) / np.float32(height)) ** 2))[:, None]
    cloud = across * down * np.float32(rng.uniform(0.3, 0.75))
    hue = (0.80, 0.62, 0.40) if rng.uniform() < 0.6 else (0.55, 0.58, 0.78)
    for plane, tint in zip(surface.colour, hue, strict=True):
        plane *= 1 - np.float32(1 - tint) * cloud


def glints(rng: np.random.Generator, surface: Surface, *, expected: float) -> Plane | None:
    """Reflections of fixtures and sparks of the brushing, as neutral radiance; None when there are none."""
    size, scale = surface.size, surface.scale
    count = int(rng.poisson(expected))
    if count == 0:
        return None
    light = np.zeros((size, size), np.float32)
    axis = np.arange(size, dtype=np.float32)
    for _ in range(min(count, 4)):
        x, y = rng.uniform(0, size, 2).astype(np.float32)
        if rng.uniform() < 0.35:
            # A bar of a fixture, upright and soft-edged.
            width = scale * rng.uniform(4, 16)
            lean = np.float32(rng.normal(0.0, 0.25))
            distance = (axis[None, :] - x + lean * (axis[:, None] - y)) * np.float32(1 / width)
            light += np.float32(rng.uniform(0.05, 0.22)) * cv2.exp(-(distance**2))
        else:
            radius = scale * rng.uniform(1.2, 5.0)
            rows, columns, distance = _disc(surface, float(x), float(y), radius * 3)
            light[rows, columns] += np.float32(rng.uniform(0.3, 1.4)) * np.exp(
                -((distance / np.float32(radius)) ** 2)
            )
    light *= surface.gloss
    return light
