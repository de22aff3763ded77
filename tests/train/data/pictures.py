"""Pictures that share a scene and differ in detail, as crops of one weld seam do, and copies of them."""

from pathlib import Path

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels


def seam(number: int, side: int = 64) -> Pixels:
    """A bright band over metal, alike in all pictures, with texture of its own."""
    random = np.random.default_rng((7, number))
    grey = np.full((side, side), 110.0, np.float32)
    grey[side // 3 : side // 2] += 60
    for sigma, strength in ((2, 60.0), (5, 120.0)):
        texture = random.normal(0, 1, (side, side)).astype(np.float32)
        grey += cv2.GaussianBlur(texture, (0, 0), sigma) * strength
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def copies(pixels: Pixels) -> list[Pixels]:
    """The same photograph, stored again in ways that people store photographs."""
    height, width = pixels.shape[:2]
    _, jpeg = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, 60))
    smaller = cv2.resize(pixels, (round(width * 0.98), round(height * 0.98)))
    brighter = np.clip(pixels * 1.06 + 3, 0, 255).astype(np.uint8)
    return [cv2.imdecode(jpeg, cv2.IMREAD_COLOR), smaller, brighter]  # type: ignore[list-item]


def write_png(file: Path, pixels: Pixels) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), pixels)
