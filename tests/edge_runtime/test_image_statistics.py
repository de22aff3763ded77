"""What each measure answers to, and what leaves it alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.contracts.frame import Pixels
from edge_runtime.image_statistics import MEASURES, ImageStatistics, measure


def metal(seed: int = 0, side: int = 96) -> Pixels:
    """A rough, evenly lit grey surface."""
    grain = np.random.default_rng(seed).normal(130, 25, (side, side)).astype(np.float32)
    grey = np.clip(cv2.GaussianBlur(grain, (0, 0), 0.8), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def smeared(pixels: Pixels, columns: slice) -> Pixels:
    """Moved across during the exposure, in these columns."""
    out = pixels.copy()
    out[:, columns] = cv2.blur(pixels, (11, 1))[:, columns]
    return out


def gained(pixels: Pixels, *gains: float) -> Pixels:
    return np.clip(pixels * np.array(gains), 0, 255).astype(np.uint8)


SHARP = measure(metal())


def test_a_smeared_part_of_a_picture_shows_and_a_sharp_picture_does_not() -> None:
    assert measure(smeared(metal(), slice(0, 30))).smear > SHARP.smear + 1
    assert max(measure(metal(seed)).smear for seed in range(5)) < 0.5


def test_smear_is_found_whichever_way_the_part_moved() -> None:
    across = smeared(metal(), slice(0, 30))
    down = np.ascontiguousarray(across.transpose(1, 0, 2))
    assert measure(down).smear == pytest.approx(measure(across).smear, abs=0.1)


def test_a_wholly_smeared_picture_has_a_direction_and_no_smear() -> None:
    across = measure(smeared(metal(), slice(None)))
    assert across.direction > SHARP.direction + 1
    assert across.smear < 0.5
    down = measure(np.ascontiguousarray(smeared(metal(), slice(None)).transpose(1, 0, 2)))
    assert down.direction < SHARP.direction - 1


def test_defocus_takes_sharpness_and_leaves_the_direction() -> None:
    soft = measure(cv2.GaussianBlur(metal(), (0, 0), 2))
    assert soft.sharpness < SHARP.sharpness - 1
    assert soft.direction == pytest.approx(SHARP.direction, abs=0.4)


def test_light_moves_brightness_and_clips_what_exceeds_the_sensor() -> None:
    dark, light = (measure(gained(metal(), gain, gain, gain)) for gain in (0.5, 2.0))
    assert dark.brightness < SHARP.brightness < light.brightness
    assert SHARP.clipped == dark.clipped == 0
    assert light.clipped > 0.3
    assert dark.contrast < SHARP.contrast


def test_warmth_is_red_over_blue_and_0_for_grey() -> None:
    assert SHARP.warmth == pytest.approx(0, abs=1e-9)
    assert measure(gained(metal(), 1.0, 0.9, 0.5)).warmth == pytest.approx(1, abs=0.05)
    assert measure(gained(metal(), 0.5, 0.9, 1.0)).warmth == pytest.approx(-1, abs=0.05)


def test_a_row_names_every_measure_in_order() -> None:
    assert ImageStatistics(**dict(zip(MEASURES, SHARP.row(), strict=True))) == SHARP


@settings(max_examples=40, deadline=None)
@given(height=st.integers(5, 80), width=st.integers(5, 80), level=st.integers(0, 255))
def test_every_size_and_shade_has_finite_measures(height: int, width: int, level: int) -> None:
    values = measure(np.full((height, width, 3), level, np.uint8))
    assert np.isfinite(values.row()).all()
    assert values.brightness == pytest.approx(level)
    assert values.smear == 0


def test_a_view_measures_like_its_copy() -> None:
    wide = metal(side=120)
    view = wide[10:90, 20:100]
    assert measure(view) == measure(np.ascontiguousarray(view))
