"""The metal: two brushed plates, the milled joint between them, and the bead that closes it.

Owns what a good part is made of. `Module` is what the crops of one serial share (brushing, bead width,
ripples, heat); `weld` cuts one crop out of it as a `Surface`: a height map and colours, still unlit, for
`defects.py` to damage and `exposure.py` to photograph. Lengths are pixels of the crop, heights too.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from edge_runtime.simulation.generations import Generation
from edge_runtime.simulation.planes import (
    Curve,
    Plane,
    bell,
    enlarged,
    index,
    limited,
    looked_up,
    soft_line,
    soft_noise,
)

CROPS_PER_MODULE = 4
TOLERANCE = 0.2
"""How far the bead may lie off the joint on a good part, in half-widths of the bead."""

_REACH = 4.0  # the tables cover this many half-widths either side; beyond it nothing changes
_COARSE = 4  # brushing is kept on a grid this much coarser along its strokes, which are long

_TINT_STOPS = (0.0, 0.22, 0.42, 0.60, 0.80, 1.0)
_TINTS = (
    # Oxide on steel by peak temperature: bare, straw, brown, purple, blue, grey. By channel.
    (1.00, 1.02, 0.80, 0.62, 0.46, 0.56),
    (1.00, 0.88, 0.60, 0.46, 0.56, 0.58),
    (1.00, 0.62, 0.42, 0.58, 0.80, 0.60),
)
_BEAD_TINT = (1.00, 0.97, 0.90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """Where the slow drift of the process stands when a module is welded; 0 is as set up."""

    offset: float = 0.0
    """Shift of the bead off the joint, in half-widths."""
    heat: float = 0.0
    """Added to the depth of the heat tint, which runs from 0 to 1."""
    light: float = 1.0
    """What is left of the lamps' light."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """What the crops of one serial share."""

    size: int
    scale: float
    """Pixels of this crop per pixel of a 256-pixel gen2 crop."""
    strokes: Plane
    """Brushing of the plates as height, coarse along the strokes; for all crops."""
    brushed_across: bool
    """Whether the strokes run across the seam instead of along it."""
    half_width: float
    """Of the bead, pixels."""
    crown: float
    """Height of the bead over its half-width."""
    ripple_pitch: float
    ripple_height: float
    bow: float
    """How far the ripples' crescents trail, in half-widths; the sign is the welding direction."""
    slope: float
    joint: float
    """Row of the joint in the middle of a crop."""
    plates: Curve
    """Albedo by signed distance from the joint."""
    oxide: tuple[Curve, Curve, Curve]
    """Red, green, blue by distance from the bead's toe."""
    metal: tuple[float, float, float]
    """Colour of the bare metal, red, green, blue."""
    scratches: float
    """Expected number of harmless scratches in a crop: handling differs from module to module."""
    process: Process


@dataclass(slots=True, kw_only=True)
class Surface:
    """One crop before it is lit; defects change its planes in place."""

    height: Plane
    albedo: Plane
    """Diffuse reflectance, 0 to 1, before `colour`."""
    gloss: Plane
    """Share of the mirrored light that is kept, 0 to 1."""
    colour: tuple[Plane, Plane, Plane]
    """Red, green, blue multipliers: oxide, dirt."""
    centre: Curve
    """Row of the bead's centre line by column."""
    half_width: float
    scale: float

    @property
    def size(self) -> int:
        """Side of the crop, pixels."""
        return len(self.centre)


def forge(rng: np.random.Generator, generation: Generation, size: int, process: Process) -> Module:
    """The shared make of one module."""
    scale = size / 256 * generation.magnification
    warmth = rng.normal(0.0, 0.015)
    metal = (1.0 + warmth, 1.0, 1.0 - warmth)
    across = bool(rng.uniform() < 0.25)
    heat = float(np.clip(rng.normal(0.46, 0.13) + process.heat, 0.12, 0.92))
    return Module(
        size=size,
        scale=scale,
        strokes=_strokes(rng, size, scale, across=across),
        brushed_across=across,
        half_width=scale * float(np.clip(rng.normal(30.0, 2.2), 25.0, 36.0)),
        crown=rng.uniform(0.26, 0.40),
        ripple_pitch=scale * rng.uniform(8.0, 12.5),
        ripple_height=scale * rng.uniform(0.5, 1.05),
        bow=rng.uniform(0.35, 0.75) * (1 if rng.uniform() < 0.5 else -1),
        slope=rng.normal(0.0, 0.02),
        joint=size / 2 + scale * rng.normal(0.0, 7.0),
        plates=_plates(rng),
        oxide=_oxide(heat, metal, reach=rng.uniform(0.28, 0.55)),
        metal=metal,
        scratches=rng.gamma(1.2, 0.8),
        process=process,
    )


def _strokes(rng: np.random.Generator, size: int, scale: float, *, across: bool) -> Plane:
    length = size * CROPS_PER_MODULE // _COARSE
    rows, columns = (length * _COARSE, size // _COARSE) if across else (size, length)
    # Even noise becomes normal when it is averaged along a stroke, and is 40 times cheaper to draw.
    even = np.frombuffer(rng.bytes(rows * columns), np.uint8).reshape(rows, columns)
    grain = even.astype(np.float32)
    grain -= np.float32(127.5)
    fine = cv2.blur(grain, (max(3, round(9 * scale)), 1))
    coarse = cv2.GaussianBlur(cv2.blur(fine, (max(5, round(23 * scale)), 1)), (1, 5), 1.2 * scale)
    depth = scale * rng.uniform(0.16, 0.34)
    strokes = cv2.addWeighted(fine, depth * 0.34 / 74, coarse, depth * 1.3 / 74, 0.0)
    # What the brush left along its whole stroke is common to the crops of a module.
    whole = rng.standard_normal((rows, 1), dtype=np.float32)
    return np.asarray(strokes, np.float32) + np.float32(0.10 * depth) * whole


def _plates(rng: np.random.Generator) -> Curve:
    upper = rng.uniform(0.27, 0.40)
    lower = upper * float(np.clip(rng.normal(1.0, 0.08), 0.82, 1.20))
    land = rng.uniform(1.42, 1.52)
    v = np.linspace(-_REACH, _REACH, 256)
    distance = np.abs(v)
    albedo = np.where(v < 0, upper, lower) * np.where(distance < land, 1.30, 1.0)
    albedo *= 1 - 0.40 * np.exp(-(((distance - land) / 0.035) ** 2))
    # The gap itself: only a bead far off the joint leaves it open.
    albedo *= 1 - 0.88 * np.exp(-((distance / 0.05) ** 2))
    return albedo.astype(np.float32)


def _oxide(
    heat: float, metal: tuple[float, float, float], *, reach: float
) -> tuple[Curve, Curve, Curve]:
    depth = heat * np.exp(-np.linspace(0, _REACH - 1, 256) / reach)
    red, green, blue = (
        (np.interp(depth, _TINT_STOPS, tint) * bare).astype(np.float32)
        for tint, bare in zip(_TINTS, metal, strict=True)
    )
    return red, green, blue


def good_offset(rng: np.random.Generator, process: Process) -> float:
    """Distance of a good bead from its joint, in half-widths; always inside TOLERANCE."""
    limit = TOLERANCE * 0.85
    return float(np.clip(rng.normal(process.offset, 0.055), -limit, limit))


def weld(rng: np.random.Generator, module: Module, crop: int, offset: float) -> Surface:
    """Crop number `crop` of a module, its bead lying `offset` half-widths below the joint."""
    size, scale = module.size, module.scale
    columns = np.arange(size, dtype=np.float32)
    rows = columns[:, None]
    joint = np.float32(module.joint + scale * rng.normal(0.0, 2.0)) + np.float32(module.slope) * (
        columns - size / 2
    ).astype(np.float32)
    centre = joint + np.float32(offset * module.half_width)
    centre += np.float32(1.1 * scale) * soft_line(rng, 5, size)
    half_width = 1 + np.float32(0.03) * soft_line(rng, 6, size)
    half_width += np.float32(0.016) * soft_line(rng, size // 7, size)
    half_width *= np.float32(module.half_width)

    height = _brushing(module, crop).copy()
    albedo = looked_up(
        index(rows - joint, 255 / (2 * _REACH) / module.half_width, 127.5), module.plates
    )
    albedo *= soft_noise(rng, 6, size) * np.float32(0.06) + np.float32(1.0)
    v = rows - centre
    v /= half_width
    colour = _heat_tint(rng, module, v)
    gloss = np.full((size, size), 0.80, np.float32)

    # The bead lies in a band of rows; outside of it these sums would be spent on nothing.
    reach = 1.1 * half_width
    top, bottom = max(0, int((centre - reach).min())), min(size, int((centre + reach).max()) + 2)
    band = slice(top, bottom)
    squared = v[band]
    squared *= squared
    dome = limited(1 - squared, 0.0, 1.0)
    bead = limited(dome * np.float32(6.0), 0.0, 1.0)
    profile = _ripples(rng, module, crop, squared)
    profile += dome * np.float32(module.crown * module.half_width)
    profile -= height[band]
    height[band] += profile * bead
    albedo[band] += (np.float32(0.36) - albedo[band]) * bead
    # The toes lie in shade: (v^2 - 1) is about twice the distance from them, in half-widths.
    toes = (squared - np.float32(1.04)) * np.float32(1 / 0.11)
    toes *= toes
    albedo[band] *= 1 - np.float32(0.42) * bell(toes)
    gloss[band] += np.float32(0.20) * bead
    for plane, tint, metal in zip(colour, _BEAD_TINT, module.metal, strict=True):
        plane[band] += (np.float32(tint * metal) - plane[band]) * bead
    return Surface(
        height=height,
        albedo=albedo,
        gloss=gloss,
        colour=colour,
        centre=centre,
        half_width=module.half_width,
        scale=scale,
    )


def _brushing(module: Module, crop: int) -> Plane:
    size = module.size
    if module.brushed_across:
        window = module.strokes[crop * size : (crop + 1) * size]
        return enlarged(window, size, size).T
    step = size // _COARSE
    return enlarged(module.strokes[:, crop * step : (crop + 1) * step], size, size)


def _ripples(rng: np.random.Generator, module: Module, crop: int, squared: Plane) -> Plane:
    """Frozen crescents, one behind the other: a cusp between each two, as in a stack of coins."""
    size, pitch = module.size, module.ripple_pitch
    turns = np.pi / pitch
    along = np.arange(crop * size, (crop + 1) * size, dtype=np.float32)
    along += np.float32(2.2 * module.scale) * soft_line(rng, 14, size)
    phase = squared * np.float32(module.bow * module.half_width * turns)
    phase += along * np.float32(turns)
    np.sin(phase, out=phase)
    np.abs(phase, out=phase)
    phase *= np.float32(module.ripple_height) * (1 + np.float32(0.22) * soft_line(rng, 9, size))
    return phase


def _heat_tint(rng: np.random.Generator, module: Module, v: Plane) -> tuple[Plane, Plane, Plane]:
    """Oxide colours of the plates; heat wavers along the seam, so distances are stretched by noise."""
    per_width = 255 / (_REACH - 1)
    # Halved, so that eight bits reach beyond the table; subtraction stops at 0, inside the bead.
    outside = cv2.subtract(cv2.convertScaleAbs(v, alpha=per_width / 2), np.array([per_width / 2]))
    grid = np.clip(rng.normal(100.0, 13.0, (5, 5)), 40, 160).astype(np.uint8)
    waver = cv2.resize(grid, (module.size, module.size), interpolation=cv2.INTER_LINEAR)
    places = np.asarray(cv2.multiply(outside, waver, scale=2 / 100), np.uint8)
    red, green, blue = (looked_up(places, table) for table in module.oxide)
    return red, green, blue
