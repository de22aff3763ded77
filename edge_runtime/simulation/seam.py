"""The metal: two brushed plates, the milled joint between them, and the bead that closes it.

Owns what a good part is made of. `Module` is what the crops of one serial share (brushing, bead width,
ripples, heat); `weld` cuts one crop out of it as a `Surface`: a height map and colours, still unlit, for
`defects.py` to damage and `exposure.py` to photograph. Lengths are pixels of the crop, heights too.
"""

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.simulation.generations import Generation

Plane: TypeAlias = npt.NDArray[np.float32]
"""One float32 value per pixel: shape (size, size), or (size, length) for a whole module."""

CROPS_PER_MODULE = 4
TOLERANCE = 0.2
"""How far the bead may lie off the joint on a good part, in half-widths of the bead."""

_REACH = 4.0  # the profile tables cover this many half-widths either side of the bead's centre
_TINT_STOPS = np.array([0.0, 0.22, 0.42, 0.60, 0.80, 1.0])
_TINTS = np.array(
    [
        # Oxide on steel by peak temperature: bare, straw, brown, purple, blue, grey.
        (1.00, 1.00, 1.00),
        (1.02, 0.88, 0.62),
        (0.80, 0.60, 0.42),
        (0.62, 0.46, 0.58),
        (0.46, 0.56, 0.80),
        (0.56, 0.58, 0.60),
    ]
)


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
    brush: Plane
    """Brushing of the plates as height, (size, size * CROPS_PER_MODULE)."""
    half_width: float
    """Of the bead, pixels."""
    crown: float
    """Height of the bead over its half-width."""
    ripple_pitch: float
    ripple_height: float
    bow: float
    """How far the ripples' crescents trail, in half-widths."""
    slope: float
    joint: float
    """Row of the joint in the middle of the crops."""
    land: float
    """Half-width of the milled band along the joint, in half-widths of the bead."""
    plates: tuple[float, float]
    """Albedo of the upper and the lower plate."""
    metal: tuple[float, float, float]
    heat: float
    heat_reach: float
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
    """Share of the specular light that is kept, 0 to 1."""
    colour: tuple[Plane, Plane, Plane]
    """Red, green, blue multipliers: oxide, dirt."""
    v: Plane
    """Signed distance from the bead's centre line, in half-widths; below is positive."""
    centre: npt.NDArray[np.float64]
    """Row of the bead's centre line by column."""
    half_width: float
    scale: float

    @property
    def size(self) -> int:
        return self.height.shape[0]


def smooth_noise(
    rng: np.random.Generator, cells: int, size: int, length: int | None = None
) -> Plane:
    """Soft noise of about unit deviation with `cells` bumps across; shape (size, length or size)."""
    length = size if length is None else length
    grid = rng.standard_normal((cells + 1, max(2, cells * length // size + 1)), dtype=np.float32)
    soft: Plane = cv2.resize(grid, (length, size), interpolation=cv2.INTER_LINEAR)
    return soft


def smooth_line(rng: np.random.Generator, cells: int, size: int) -> npt.NDArray[np.float64]:
    """Soft noise of about unit deviation along a line of `size` pixels."""
    knots = rng.standard_normal(cells + 3)
    grid = np.linspace(0.0, cells, size)
    start = grid.astype(np.intp)
    t = grid - start
    a, b, c = knots[start], knots[start + 1], knots[np.minimum(start + 2, cells + 2)]
    # A quadratic B-spline: no kinks, which a highlight along the bead would show.
    return np.asarray(0.5 * (1 - t) ** 2 * a + (0.5 + t - t * t) * b + 0.5 * t * t * c)


def _brushing(rng: np.random.Generator, size: int, scale: float) -> Plane:
    length = size * CROPS_PER_MODULE
    across = rng.uniform() < 0.25
    height, width = (length, size) if across else (size, length)
    # Grain is drawn on a grid four times coarser along the strokes, which are long anyway.
    grain = rng.standard_normal((height, width // 4 + 1), dtype=np.float32)
    fine = cv2.blur(grain, (max(3, round(9 * scale)), 1))
    coarse = cv2.GaussianBlur(cv2.blur(grain, (max(5, round(31 * scale)), 1)), (1, 5), 1.2 * scale)
    strokes = cv2.resize(
        fine * 0.34 + coarse * 0.9, (width, height), interpolation=cv2.INTER_LINEAR
    )
    # What the brush left along its whole stroke is common to the crops of a module.
    strokes += 0.10 * rng.standard_normal((height, 1), dtype=np.float32)
    strokes *= np.float32(scale * rng.uniform(0.14, 0.30))
    return np.ascontiguousarray(strokes.T) if across else np.asarray(strokes)


def forge(rng: np.random.Generator, generation: Generation, size: int, process: Process) -> Module:
    """The shared make of one module."""
    scale = size / 256 * generation.magnification
    grey = rng.uniform(0.30, 0.42)
    warmth = rng.normal(0.0, 0.015)
    return Module(
        size=size,
        scale=scale,
        brush=_brushing(rng, size, scale),
        half_width=scale * float(np.clip(rng.normal(30.0, 2.2), 25.0, 36.0)),
        crown=rng.uniform(0.26, 0.40),
        ripple_pitch=scale * rng.uniform(8.0, 12.5),
        ripple_height=scale * rng.uniform(0.5, 1.05),
        bow=rng.uniform(0.35, 0.75) * (1 if rng.uniform() < 0.5 else -1),
        slope=rng.normal(0.0, 0.02),
        joint=size / 2 + scale * rng.normal(0.0, 7.0),
        land=rng.uniform(1.42, 1.52),
        plates=(grey, grey * float(np.clip(rng.normal(1.0, 0.07), 0.85, 1.18))),
        metal=(1.0 + warmth, 1.0, 1.0 - warmth),
        heat=float(np.clip(rng.normal(0.46, 0.13) + process.heat, 0.12, 0.92)),
        heat_reach=rng.uniform(0.28, 0.55),
        scratches=rng.gamma(1.2, 0.8),
        process=process,
    )


def good_offset(rng: np.random.Generator, process: Process) -> float:
    """Distance of a good bead from its joint, in half-widths; always inside TOLERANCE."""
    limit = TOLERANCE * 0.85
    return float(np.clip(rng.normal(process.offset, 0.055), -limit, limit))


def _profiles(
    module: Module, offset: float, skew: float
) -> tuple[Plane, list[npt.NDArray[np.float32]]]:
    """Tables over the distance from the bead: albedo, and the colour of each channel."""
    v = np.linspace(-_REACH, _REACH, 256)
    outside = np.abs(v)
    joint_distance = np.abs(v + offset)  # the joint lies at -offset, seen from the bead
    albedo = np.where(v < 0, module.plates[0], module.plates[1])
    land = joint_distance < module.land
    albedo = np.where(land, albedo * 1.32, albedo)
    albedo *= 1 - 0.38 * np.exp(-(((joint_distance - module.land) / 0.035) ** 2))
    # The gap itself: only a bead far off the joint leaves it open.
    albedo *= 1 - 0.85 * np.exp(-((joint_distance / 0.045) ** 2))
    bead = outside < 1.0
    albedo = np.where(bead, 0.36, albedo)
    albedo *= 1 - 0.42 * np.exp(-(((outside - 1.02) / 0.055) ** 2))  # the toes lie in shade
    heat = (
        module.heat
        * (1 + skew * np.sign(v))
        * np.exp(-np.maximum(outside - 1, 0) / module.heat_reach)
    )
    heat = np.where(bead, 0.10 + 0.12 * outside**3, heat)
    colours = [
        (np.interp(heat, _TINT_STOPS, _TINTS[:, channel]) * module.metal[channel]).astype(
            np.float32
        )
        for channel in range(3)
    ]
    return albedo.astype(np.float32), colours


def weld(rng: np.random.Generator, module: Module, crop: int, offset: float) -> Surface:
    """Crop number `crop` of a module, its bead lying `offset` half-widths below the joint."""
    size, scale = module.size, module.scale
    columns = np.arange(size, dtype=np.float64)
    joint = module.joint + scale * rng.normal(0.0, 2.0) + module.slope * (columns - size / 2)
    centre = joint + offset * module.half_width + scale * 1.1 * smooth_line(rng, 4, size)
    half_width = module.half_width * (
        1 + 0.030 * smooth_line(rng, 5, size) + 0.016 * smooth_line(rng, size // 7 + 1, size)
    )
    rows = np.arange(size, dtype=np.float32)[:, None]
    v: Plane = (rows - centre.astype(np.float32)) * (1 / half_width).astype(np.float32)
    squared = v * v
    dome = cv2.max(1 - squared, 0.0)
    bead = cv2.min(dome * 7.0, 1.0)

    pitch = module.ripple_pitch
    along = columns + crop * size + scale * 2.2 * smooth_line(rng, 14, size)
    phase = squared * np.float32(module.bow * module.half_width * np.pi / pitch)
    phase += (along * np.pi / pitch).astype(np.float32)
    ripple_height = module.ripple_height * (1 + 0.22 * smooth_line(rng, 9, size))
    ripples = cv2.absdiff(np.sin(phase), 0.0)
    ripples *= ripple_height.astype(np.float32)
    brush = module.brush[:, crop * size : (crop + 1) * size]
    # Bead over plate: ripples - brush, blended by how far we are inside the bead.
    height = (ripples - brush) * bead + brush
    height += dome * np.float32(module.crown * module.half_width)

    albedo_table, colour_tables = _profiles(module, offset, rng.normal(0.0, 0.08))
    to_index = 255 / (2 * _REACH)
    index = cv2.convertScaleAbs(cv2.max(v + np.float32(_REACH), 0.0), alpha=to_index)
    albedo = cv2.LUT(index, albedo_table)
    albedo *= 1 + np.float32(0.05) * smooth_noise(rng, 6, size)
    # Heat wavers along the seam: look the oxide up at a distance that is stretched a little.
    waver = smooth_noise(rng, 5, size) * np.float32(0.10) + np.float32(1.0)
    beyond = cv2.max(cv2.absdiff(v, 0.0) - 1, 0.0) * waver
    side = np.where(v < 0, np.float32(-1), np.float32(1))
    warped = np.where(dome > 0, v, side * (1 + beyond)) + np.float32(_REACH)
    warped_index = cv2.convertScaleAbs(cv2.max(warped, 0.0), alpha=to_index)
    red, green, blue = (cv2.LUT(warped_index, table) for table in colour_tables)
    return Surface(
        height=height,
        albedo=albedo,
        gloss=np.full((size, size), 1.0, np.float32) - np.float32(0.18) * (1 - bead),
        colour=(red, green, blue),
        v=v,
        centre=centre,
        half_width=module.half_width,
        scale=scale,
    )
