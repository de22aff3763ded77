"""What the measures of a frame respond to, and what they do not."""

import cv2
import numpy as np
import pytest

from edge_runtime.drift.statistics import MEASURES, FrameStatistics, kelvin, measure


def metal(seed: int = 0, side: int = 256) -> np.ndarray:
    rng = np.random.default_rng(seed)
    plane = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), 1.5)
    grey = 120 + 30 * plane / plane.std()
    grey[: side // 16] = 255
    return np.repeat(np.clip(grey, 0, 255)[:, :, None], 3, axis=2).astype(np.uint8)


PLAIN = measure(metal())


def moved(pixels: np.ndarray) -> FrameStatistics:
    return measure(np.clip(pixels, 0, 255).astype(np.uint8))


def test_twice_the_highlights_is_one_more() -> None:
    more = metal()
    more[:32] = 255
    assert moved(more).highlights - PLAIN.highlights == pytest.approx(1, abs=0.05)


def test_blur_lowers_sharpness_and_noise_raises_noise() -> None:
    soft = moved(cv2.GaussianBlur(metal(), (0, 0), 2))
    assert soft.sharpness < PLAIN.sharpness - 0.5
    grain = np.random.default_rng(1).normal(0, 8, metal().shape)
    assert moved(metal() + grain).noise > PLAIN.noise + 0.5
    assert moved(metal() + grain).brightness == pytest.approx(PLAIN.brightness, abs=1)


def test_the_noise_of_a_flat_frame_is_its_deviation() -> None:
    grain = np.random.default_rng(2).normal(128, 6, (256, 256, 1)).repeat(3, axis=2)
    assert 2 ** moved(grain).noise == pytest.approx(6, rel=0.05)


def test_light_moves_brightness_and_contrast_and_hardly_colour() -> None:
    dim = moved(metal() * 0.7)
    assert dim.brightness == pytest.approx(0.7 * PLAIN.brightness, rel=0.02)
    assert dim.contrast == pytest.approx(PLAIN.contrast + np.log2(0.7), abs=0.02)
    assert dim.colour == pytest.approx(PLAIN.colour, rel=0.01)


def test_kelvin_is_that_of_the_standard_illuminants() -> None:
    assert kelvin(128, 128, 128) == pytest.approx(6504, abs=15)  # sRGB's white is D65
    assert kelvin(255, 255, 255) == pytest.approx(6504, abs=15)
    assert kelvin(200, 160, 110) < 5000 < 7500 < kelvin(110, 140, 190)


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("shape", [(8, 8), (16, 300), (256, 256)])
def test_any_frame_has_finite_measures(level: int, shape: tuple[int, int]) -> None:
    row = measure(np.full((*shape, 3), level, np.uint8)).row()
    assert len(row) == len(MEASURES)
    assert np.isfinite(row).all()


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255)])
def test_a_colour_that_is_no_lights_stays_within_bounds(colour: tuple[int, int, int]) -> None:
    row = measure(np.full((32, 32, 3), colour, np.uint8))
    assert 25 <= row.colour <= 667


def test_a_view_into_a_larger_picture_measures_the_same() -> None:
    wide = np.ascontiguousarray(np.concatenate([metal(), metal(1)], axis=1))
    assert measure(wide[:, :256]) == measure(np.ascontiguousarray(wide[:, :256]))
