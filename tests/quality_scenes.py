"""Small frames with a seam in them, and limits taken from them, for tests of the quality gate."""

from collections.abc import Sequence
from functools import cache

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.quality import QualityReference
from optimize.builder.quality_reference import observe
from optimize.data.images import Image
from optimize.quality_limits.setting import set_limits

SIDE = 64


def scene(seed: int, side: int = SIDE) -> Pixels:
    """A bright, ribbed bead across a dull plate, light and place a little different each time."""
    rng = np.random.default_rng(seed)
    rows = np.arange(side)[:, None] - side * (0.5 + 0.02 * rng.standard_normal())
    bead = np.exp(-((rows / (0.15 * side)) ** 2))
    ribs = 0.2 * np.sin(np.arange(side) * (64 / side) + rng.uniform(0, 6))[None]
    uneven = cv2.resize(rng.normal(1, 0.1, (3, 3)), (side, side), interpolation=cv2.INTER_CUBIC)
    light = 90 * (1 + 0.05 * rng.standard_normal()) * uneven * (1 + bead * (1 + ribs))
    grain = cv2.GaussianBlur(rng.normal(0, 20, (side, side)), (0, 0), 0.7)
    grey = light + grain + rng.normal(0, 3, (side, side))
    return np.clip(grey[..., None] * np.array([1.0, 0.95, 0.9]), 0, 255).astype(np.uint8)


def image(pixels: Pixels, label: str = "no_defect", group: str = "") -> Image:
    return Image(path="", label=label, group=group, pixels=pixels)


def reference_of(images: Sequence[Image], cost: float = 0.005) -> QualityReference:
    """What a build makes of these images."""
    return set_limits("scenes sha256:00", observe(images, len(images), lambda _: None), cost)


@cache
def scenes_reference(side: int = SIDE) -> QualityReference:
    """Of two hundred sound scenes."""
    return reference_of([image(scene(seed, side)) for seed in range(200)])
