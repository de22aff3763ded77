"""Augmentation that imitates what changes between cameras: light, colour, highlights, sharpness, noise,
and what gets in the way.

uint8 RGB in, uint8 RGB of the same shape out, numpy and OpenCV alone, 1.4 ms per 256x256 image on one
core. Every draw comes from the generator that is handed in, so a seed gives the same pixels again.
Nothing hides or adds a defect: no cut-outs, no mixing, what reaches in from a border stays in the outer
eighth, and blur stays shorter than what wipes out a hairline crack.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels

_BANK = 1024
"""Side of the noise bank in pixels; drawing fresh normals for each image would cost 3 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far each change may go. Probabilities are per image; ranges are symmetric about no change."""

    hflip: float = 0.5
    vflip: float = 0.5
    rotation: float = 6.0
    """Degrees."""
    translation: float = 0.05
    """Share of the side."""
    zoom: float = 0.06
    """Share of the size."""
    brightness: float = 22.0
    """Grey levels."""
    contrast: float = 0.20
    gamma: float = 0.25
    """In the exponent's logarithm."""
    temperature: float = 0.09
    """Gain of red against blue."""
    occlusion: float = 0.1
    """Probability that something out of focus, a cable or a gripper, reaches in from one border."""
    occlusion_depth: float = 0.12
    """How far at most, as share of the side."""
    highlight: float = 0.35
    """Probability of specular blobs."""
    blur: float = 0.15
    """Probability of motion blur over `blur_length` pixels at most (at 256 pixels)."""
    blur_length: float = 6.0
    noise: float = 0.35
    """Probability of sensor noise of at most `noise_sigma` grey levels."""
    noise_sigma: float = 6.0
    jpeg: float = 0.15
    """Probability of a second JPEG compression."""

    def apply(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        """One altered copy of the image; the draws are `random`'s next ones."""
        image = self._move(pixels, random)
        if random.random() < self.occlusion:
            image = _occlude(image, self.occlusion_depth, random)
        image = self._relight(image, random)
        if random.random() < self.highlight:
            image = _add_highlights(image, random)
        if random.random() < self.blur:
            longest = max(2.0, self.blur_length * max(image.shape[:2]) / 256)
            image = _blur(image, random.uniform(1.5, longest), random.uniform(0, np.pi))
        if random.random() < self.noise:
            image = _add_noise(image, random.uniform(1, self.noise_sigma), random)
        if random.random() < self.jpeg:
            image = _recompress(image, int(random.integers(55, 96)))
        return image

    def _move(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        height, width = pixels.shape[:2]
        flips = np.where(random.random(2) < (self.hflip, self.vflip), -1.0, 1.0)
        angle, zoom, right, down = random.uniform(-1, 1, 4) * (
            np.deg2rad(self.rotation),
            self.zoom,
            self.translation * width,
            self.translation * height,
        )
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn * (1 + zoom) * flips
        centre = np.array([(width - 1) / 2, (height - 1) / 2])
        shift = centre - linear @ centre + (right, down)
        matrix = np.column_stack([linear, shift])
        moved = cv2.warpAffine(
            pixels,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )
        return np.asarray(moved, dtype=np.uint8)

    def _relight(self, pixels: Pixels, random: np.random.Generator) -> Pixels:
        brightness, contrast, gamma, temperature, tint = random.uniform(-1, 1, 5) * (
            self.brightness,
            self.contrast,
            self.gamma,
            self.temperature,
            self.temperature / 3,
        )
        levels = np.linspace(0, 1, 256) ** np.exp(gamma)
        levels = (levels - 0.5) * (1 + contrast) + 0.5 + brightness / 255
        gains = np.exp([temperature, tint, -temperature])
        table = np.clip(np.rint(levels[:, None] * gains * 255), 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(pixels, table[None]), dtype=np.uint8)


def contact_sheet(rows: Sequence[Sequence[Pixels]], tile: int = 128, gap: int = 4) -> Pixels:
    """The images as a grid, each shrunk to `tile` pixels, on dark grey."""
    columns = max(len(row) for row in rows)
    step = tile + gap
    sheet = np.full((len(rows) * step + gap, columns * step + gap, 3), 40, np.uint8)
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            top, left = gap + y * step, gap + x * step
            small = cv2.resize(image, (tile, tile), interpolation=cv2.INTER_AREA)
            sheet[top : top + tile, left : left + tile] = small
    return sheet


def _occlude(pixels: Pixels, deepest: float, random: np.random.Generator) -> Pixels:
    """A dark or grey shape with soft edges, broad at one border and narrower at its tip."""
    height, width = pixels.shape[:2]
    quarters = int(random.integers(4))
    # Drawn reaching down from the upper border, then turned to its own.
    across, along = (width, height) if quarters % 2 else (height, width)
    middle, half = random.uniform(0, along), random.uniform(0.06, 0.2) * along
    tip, depth = half * random.uniform(0.3, 0.9), random.uniform(0.4, 1) * deepest * across
    softness = depth / 8
    reach = depth - 2 * softness
    left, right = (
        ((middle - half, -2), (middle - tip, reach)),
        ((middle + tip, reach), (middle + half, -2)),
    )
    mask = np.zeros((across, along), np.float32)
    cv2.fillPoly(mask, [np.rint((*left, *right)).astype(np.int32)], 1.0)
    if softness >= 0.3:
        mask = np.asarray(cv2.GaussianBlur(mask, (0, 0), softness), np.float32)
    mask[int(depth) :] = 0
    shade = random.uniform(12, 110) * random.uniform(0.93, 1.07, 3)
    covered = pixels + (shade - pixels) * np.rot90(mask, quarters)[..., None]
    return np.rint(covered).astype(np.uint8)


def _add_highlights(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """One to three soft, stretched blobs of light, drawn at a quarter of the size."""
    height, width = pixels.shape[:2]
    down, across = np.mgrid[0 : 1 : max(8, height // 4) * 1j, 0 : 1 : max(8, width // 4) * 1j]
    light = np.zeros(down.shape, np.float32)
    for _ in range(int(random.integers(1, 4))):
        y, x, angle = random.uniform(0, 1, 3) * (1, 1, np.pi)
        long, short = random.uniform(0.08, 0.35), random.uniform(0.015, 0.06)
        along = (across - x) * np.cos(angle) + (down - y) * np.sin(angle)
        beside = (down - y) * np.cos(angle) - (across - x) * np.sin(angle)
        blob = np.exp(-((along / long) ** 2 + (beside / short) ** 2))
        light += (blob * random.uniform(25, 110)).astype(np.float32)
    full = cv2.resize(np.clip(light, 0, 255).astype(np.uint8), (width, height))
    return np.asarray(cv2.add(pixels, cv2.cvtColor(full, cv2.COLOR_GRAY2RGB)), dtype=np.uint8)


def _blur(pixels: Pixels, length: float, angle: float) -> Pixels:
    side = 2 * int(np.ceil(length / 2)) + 1
    centre = side // 2
    reach = length / 2 * np.array([np.cos(angle), np.sin(angle)])
    kernel = np.zeros((side, side), np.float32)
    for offset in np.linspace(-1, 1, 4 * side):
        x, y = np.rint(centre + offset * reach).astype(int)
        kernel[y, x] += 1
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), dtype=np.uint8)


@lru_cache(maxsize=1)
def _noise_bank() -> npt.NDArray[np.float32]:
    shape = (_BANK, _BANK, 3)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _add_noise(pixels: Pixels, sigma: float, random: np.random.Generator) -> Pixels:
    height, width = pixels.shape[:2]
    bank = _noise_bank()
    if height > _BANK or width > _BANK:
        bank = np.tile(bank, (-(-height // _BANK), -(-width // _BANK), 1))
    top = int(random.integers(0, bank.shape[0] - height + 1))
    left = int(random.integers(0, bank.shape[1] - width + 1))
    noise = bank[top : top + height, left : left + width]
    grain = cv2.addWeighted(noise, sigma, noise, 0, 0, dtype=cv2.CV_16S)
    return np.asarray(cv2.add(pixels, grain, dtype=cv2.CV_8U), dtype=np.uint8)


def _recompress(pixels: Pixels, quality: int) -> Pixels:
    # Channel order does not matter to the artefacts that are wanted.
    _, data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)
