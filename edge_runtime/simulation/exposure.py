"""From a surface to a photograph: lamps, lens, sensor, and the blur of a part that moved.

Owns light and camera, and knows nothing of labels. The metal is lit from its slopes: a diffuse part
under the ambient light and, for each lamp, a highlight where the surface mirrors it into the lens.
Radiance is linear with 1 at the sensor's full scale, until the tone curve (a square root, then an S).
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.simulation.generations import Generation
from edge_runtime.simulation.seam import Plane, Surface

_SPARE = 192  # the noise atlas exceeds a crop by this much each way, so windows rarely coincide


@lru_cache(maxsize=4)
def _noise_atlas(size: int) -> npt.NDArray[np.float32]:
    side = size + _SPARE
    return np.random.default_rng(20240304).standard_normal((side, side, 3), dtype=np.float32)


@lru_cache(maxsize=8)
def _falloff(size: int, share: float) -> Plane:
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    return 1 - np.float32(share / 2) * (axis[:, None] ** 2 + axis**2)


@lru_cache(maxsize=8)
def _tone(contrast: float) -> npt.NDArray[np.uint8]:
    x = np.linspace(0, 1, 256)
    curve = x + contrast * (x * x * (3 - 2 * x) - x)
    return np.rint(curve * 255).astype(np.uint8)


def _highlights(surface: Surface, generation: Generation) -> tuple[Plane, list[Plane]]:
    """Relief shading, and what each lamp mirrors into the lens; radiance over lamp strength."""
    size = surface.size
    down = cv2.Sobel(surface.height, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    right = cv2.Sobel(surface.height, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    relief = 1 - np.float32(generation.relief) * down - np.float32(0.3 * generation.relief) * right
    rows = np.linspace(-0.5, 0.5, size, dtype=np.float32)[:, None]
    mirrors = []
    for lamp in generation.lamps:
        across = (down - (lamp.tilt + lamp.nearness * rows).astype(np.float32)) * np.float32(
            lamp.hardness
        )
        # The bars are long, so along the seam the highlight is wider than across it.
        along = right * np.float32(lamp.hardness * 0.75)
        mirrors.append(cv2.exp(-(across * across + along * along)) * surface.gloss)
    return cv2.max(relief, 0.15), mirrors


def photograph(
    rng: np.random.Generator,
    surface: Surface,
    generation: Generation,
    *,
    light: float,
    glints: Plane | None,
) -> Pixels:
    """Light the surface and expose it; `glints` adds reflections of fixtures as neutral radiance."""
    size = surface.size
    relief, mirrors = _highlights(surface, generation)
    diffuse = relief * surface.albedo
    gain = generation.exposure * light * float(np.clip(rng.normal(1.0, 0.05), 0.85, 1.15))
    falloff = _falloff(size, generation.vignetting) * np.float32(gain)
    channels = []
    for channel in range(3):
        plane = diffuse * np.float32(generation.ambient[channel])
        for lamp, mirror in zip(generation.lamps, mirrors, strict=True):
            plane = cv2.scaleAdd(mirror, lamp.strength * lamp.colour[channel], plane)
        plane *= surface.colour[channel]
        if glints is not None:
            plane += glints
        plane *= falloff
        channels.append(plane)
    radiance = cv2.merge(channels)
    if generation.bloom:
        spill = cv2.max(channels[1] - np.float32(0.85), 0.0)
        small = cv2.resize(spill, (size // 4, size // 4), interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), 3.0 * size / 256)
        halo = cv2.resize(small, (size, size), interpolation=cv2.INTER_LINEAR)
        radiance += (halo * np.float32(generation.bloom))[:, :, None]
    radiance = cv2.GaussianBlur(radiance, (5, 5), generation.lens_sigma * size / 256)
    return _develop(rng, radiance, generation)


def _develop(
    rng: np.random.Generator, radiance: npt.NDArray[np.float32], generation: Generation
) -> Pixels:
    size = radiance.shape[0]
    signal = cv2.sqrt(cv2.max(radiance, 0.0))
    top, left = rng.integers(0, _SPARE, 2)
    window = _noise_atlas(size)[top : top + size, left : left + size]
    deviation = generation.noise / 255
    if generation.colour_noise:
        signal = cv2.scaleAdd(window, deviation, signal)
    else:
        signal += np.float32(deviation) * window[:, :, :1]
    if generation.row_noise:
        rows = rng.standard_normal((size, 1, 1), dtype=np.float32)
        signal += np.float32(generation.row_noise / 255) * rows
    if generation.sharpening:
        soft = cv2.GaussianBlur(signal, (3, 3), 0.9)
        signal = cv2.addWeighted(
            signal, 1 + generation.sharpening, soft, -generation.sharpening, 0.0
        )
    counts = cv2.convertScaleAbs(cv2.max(signal, 0.0), alpha=255.0)
    pixels: Pixels = cv2.LUT(counts, _tone(generation.contrast))
    return pixels


def smear(rng: np.random.Generator, pixels: Pixels, keep: tuple[float, float]) -> Pixels:
    """Motion blur over one side of the crop; the point `keep` (x, y) stays outside of it.

    The part jerked while the rolling shutter was on its way: a quarter to half of the picture is
    smeared along the line's direction, and the rest is sharp.
    """
    size = pixels.shape[0]
    length = max(5, round(rng.uniform(11, 27) * size / 256))
    kernel = np.full((1, length), 1 / length, np.float32)
    smeared = cv2.filter2D(pixels, -1, kernel)
    x, y = keep
    share = rng.uniform(0.25, 0.5)
    sides = {"left": x, "right": size - x, "top": y, "bottom": size - y}
    margin = 0.08 * size
    order = sorted(sides, key=lambda side: -sides[side])
    side = order[0] if rng.uniform() < 0.6 else order[1]
    extent = min(share * size, max(sides[side] - 2 * margin, 0.12 * size))
    axis = np.arange(size, dtype=np.float32)
    distance = axis if side in {"left", "top"} else size - 1 - axis
    ramp = np.clip((extent - distance) / np.float32(margin) + 0.5, 0, 1)
    weight = ramp[None, :, None] if side in {"left", "right"} else ramp[:, None, None]
    blended = pixels + weight * (smeared.astype(np.float32) - pixels)
    return cv2.convertScaleAbs(blended)
