"""From a surface to a photograph: lamps, lens, sensor, and the blur of a part that moved.

Owns light and camera, and knows nothing of labels. The metal is lit from its slopes: a diffuse part
under the ambient light and, for each lamp, a highlight where the surface mirrors it into the lens.
Radiance is linear with 1 at the sensor's full scale, until the tone curve: a square root, then contrast.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.simulation.generations import Generation
from edge_runtime.simulation.planes import (
    Plane,
    add_scaled,
    at_least,
    bell,
    enlarged,
    index,
    limited,
    root,
    slopes,
)
from edge_runtime.simulation.seam import Surface

_SPARE = 192  # the noise atlas exceeds a crop by this much each way, so windows rarely coincide
_ZERO = 64  # the byte that stands for no noise


@lru_cache(maxsize=4)
def _noise_atlas(generation: Generation, size: int) -> Pixels:
    """Sensor noise as bytes around _ZERO; drawing it anew for every picture took a third of the time."""
    rng = np.random.default_rng([20240304, generation.code])
    side = size + _SPARE
    depth = 3 if generation.colour_noise else 1
    counts = rng.standard_normal((side, side, depth), dtype=np.float32)
    counts *= np.float32(generation.noise)
    counts = counts + np.float32(generation.row_noise) * rng.standard_normal(
        (side, 1, 1), np.float32
    )
    noise = np.broadcast_to(np.clip(np.rint(counts) + _ZERO, 0, 255), (side, side, 3))
    return noise.astype(np.uint8)


@lru_cache(maxsize=4)
def _falloff(size: int, share: float) -> Plane:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return 1 - np.float32(share / 2) * (axis[:, None] ** 2 + axis**2)


@lru_cache(maxsize=4)
def _film(size: int) -> Plane:
    """Smears on the lens, 0 to 1: the same in every picture, and out of focus."""
    rng = np.random.default_rng(20240305)
    smears = np.zeros((64, 64), np.float32)
    for _ in range(9):
        centre, axes = rng.integers(4, 60, 2), rng.integers(3, 11, 2)
        cv2.ellipse(
            smears, centre.tolist(), axes.tolist(), float(rng.uniform(0, 180)), 0, 360, 1.0, -1
        )
    blurred = np.asarray(cv2.GaussianBlur(smears, (0, 0), 1.6), np.float32)
    return enlarged(blurred, size, size)


@lru_cache(maxsize=4)
def _sharp_lens(sigma: float, sharpening: float) -> npt.NDArray[np.float32]:
    """A lens's blur and the camera's unsharp mask as one 3x3 filter."""
    lens, wide = (
        np.outer(k, k) for k in (cv2.getGaussianKernel(3, s) for s in (sigma, sigma + 0.5))
    )
    return ((1 + sharpening) * lens - sharpening * wide).astype(np.float32)


def photograph(
    rng: np.random.Generator,
    surface: Surface,
    generation: Generation,
    *,
    light: float,
    glints: Plane | None,
) -> Pixels:
    """Light the surface and expose it; `glints` adds reflections of fixtures. Uses the surface up."""
    size = surface.size
    gain = generation.exposure * light * float(np.clip(rng.normal(1.0, 0.05), 0.85, 1.15))
    diffuse = _falloff(size, generation.vignetting) * np.float32(gain)
    surface.gloss *= diffuse
    down, right = slopes(surface.height)
    add_scaled(diffuse, down, -generation.relief)
    add_scaled(diffuse, right, -0.3 * generation.relief)
    at_least(diffuse, 0.15)
    diffuse *= surface.albedo
    mirrors = _mirrors(down, right, surface.gloss, generation)
    if glints is not None:
        mirrors[0] += glints
    channels = []
    for channel, colour in enumerate(surface.colour):
        radiance = diffuse * np.float32(generation.ambient[channel])
        for lamp, mirror in zip(generation.lamps, mirrors, strict=True):
            add_scaled(radiance, mirror, lamp.strength * lamp.colour[channel])
        radiance *= colour
        if generation.film:
            _smear_lens(radiance, generation.film)
        channels.append(radiance)
    if generation.bloom:
        spill = _spill(channels[1], generation.bloom)
        for radiance in channels:
            radiance += spill
    return _develop(rng, channels, generation)


def _mirrors(down: Plane, right: Plane, gloss: Plane, generation: Generation) -> list[Plane]:
    """What each lamp mirrors into the lens, by its strength."""
    rows = np.linspace(-0.5, 0.5, len(down), dtype=np.float32)[:, None]
    # The bars are long, so along the seam the highlight is wider than across it.
    sideways = right * right
    mirrors = []
    for lamp in generation.lamps:
        across = down - (np.float32(lamp.tilt) + np.float32(lamp.nearness) * rows)
        across *= np.float32(lamp.hardness)
        across *= across
        add_scaled(across, sideways, (0.75 * lamp.hardness) ** 2)
        mirror = bell(across)
        mirror *= gloss
        mirrors.append(mirror)
    return mirrors


def _spill(radiance: Plane, share: float) -> Plane:
    """Light that leaves what is clipped and spreads around it."""
    size = len(radiance)
    small = cv2.resize(radiance, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
    clipped = limited(np.asarray(small, np.float32) - np.float32(0.8), 0.0, 2.0)
    halo = cv2.GaussianBlur(clipped, (0, 0), 3.0 * size / 256)
    return enlarged(np.asarray(halo, np.float32) * np.float32(share), size, size)


def _smear_lens(radiance: Plane, film: float) -> None:
    """Smears swallow light where they are, and scatter a veil of the whole picture's there."""
    smears = _film(len(radiance))
    veil = np.float32(0.35 * film * float(radiance.mean()))
    radiance *= 1 - np.float32(film) * smears
    add_scaled(radiance, smears, float(veil))


def _develop(rng: np.random.Generator, channels: list[Plane], generation: Generation) -> Pixels:
    size = len(channels[0])
    sigma = generation.lens_sigma * size / 256
    counts = []
    for radiance in channels:
        # Under a square root the shot noise is the same in light and shade: one deviation serves.
        signal = root(radiance)
        if generation.sharpening:
            kernel = _sharp_lens(sigma, generation.sharpening)
            signal = np.asarray(cv2.filter2D(signal, cv2.CV_32F, kernel), np.float32)
        else:
            signal = np.asarray(cv2.GaussianBlur(signal, (5, 5), sigma), np.float32)
        counts.append(index(signal, 255.0))
    top, left = rng.integers(0, _SPARE, 2)
    noise = _noise_atlas(generation, size)[top : top + size, left : left + size]
    contrast = generation.contrast
    black = 127.5 * (1 - contrast) - contrast * _ZERO
    return np.asarray(
        cv2.addWeighted(cv2.merge(counts), contrast, noise, contrast, black), np.uint8
    )


def smear(rng: np.random.Generator, pixels: Pixels, keep: tuple[float, float]) -> Pixels:
    """Motion blur over one side of the crop; the point `keep` (x, y) stays outside of it.

    The part jerked while the rolling shutter was on its way: up to half of the picture is smeared along
    the line's direction, and the rest is sharp.
    """
    size = len(pixels)
    length = max(5, round(rng.uniform(11, 27) * size / 256))
    smeared = cv2.blur(pixels, (length, 1)).astype(np.float32)
    x, y = keep
    room = {"left": x, "right": size - x, "top": y, "bottom": size - y}
    widest, second = sorted(room, key=lambda side: -room[side])[:2]
    side = widest if rng.uniform() < 0.6 else second
    margin = 0.08 * size
    extent = min(rng.uniform(0.25, 0.5) * size, room[side] - margin)
    axis = np.arange(size, dtype=np.float32)
    distance = axis if side in {"left", "top"} else axis[::-1]
    ramp = np.clip((np.float32(extent) - distance) / np.float32(margin) + np.float32(0.5), 0, 1)
    weight = ramp[None, :, None] if side in {"left", "right"} else ramp[:, None, None]
    smeared -= pixels
    smeared *= weight
    smeared += pixels
    return np.rint(smeared).astype(np.uint8)
