from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.augment import Augmentation, contact_sheet

STILL = Augmentation(**{field.name: 0.0 for field in fields(Augmentation)})


def image(height: int = 48, width: int = 40) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, (height, width, 3), dtype=np.uint8)


def apply(
    augmentation: Augmentation, seed: int = 1, pixels: np.ndarray | None = None
) -> np.ndarray:
    random = np.random.default_rng(seed)
    return augmentation.apply(image() if pixels is None else pixels, random)


@given(seed=st.integers(0, 2**32), height=st.integers(8, 80), width=st.integers(8, 80))
def test_shape_and_type_are_kept_and_the_input_is_left_alone(
    seed: int, height: int, width: int
) -> None:
    pixels = image(height, width)
    altered = apply(Augmentation(), seed, pixels)
    assert altered.shape == (height, width, 3)
    assert altered.dtype == np.uint8
    np.testing.assert_array_equal(pixels, image(height, width))


def test_the_same_seed_gives_the_same_pixels() -> None:
    for seed in range(40):
        np.testing.assert_array_equal(
            apply(Augmentation(), seed), apply(Augmentation(), seed), strict=True
        )


def test_nothing_asked_for_changes_nothing() -> None:
    np.testing.assert_array_equal(apply(STILL), image())


@pytest.mark.parametrize(
    ("change", "expected"),
    [({"hflip": 1.0}, image()[:, ::-1]), ({"vflip": 1.0}, image()[::-1])],
)
def test_flips_move_pixels_exactly(change: dict[str, float], expected: np.ndarray) -> None:
    np.testing.assert_array_equal(apply(replace(STILL, **change)), expected)


@given(seed=st.integers(0, 2**32), height=st.integers(24, 300), width=st.integers(24, 300))
def test_what_reaches_in_stays_off_the_middle(seed: int, height: int, width: int) -> None:
    pixels = image(height, width)
    altered = apply(replace(STILL, occlusion=1.0, occlusion_depth=0.12), seed, pixels)
    down, right = -(-height // 8), -(-width // 8)
    middle = np.s_[down : height - down, right : width - right]
    np.testing.assert_array_equal(altered[middle], pixels[middle])


def test_what_reaches_in_covers_some_of_one_border() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    for seed in range(40):
        covered = apply(replace(STILL, occlusion=1.0, occlusion_depth=0.12), seed, white) < 200
        borders = [covered[0], covered[-1], covered[:, 0], covered[:, -1]]
        assert 0 < covered.all(axis=2).mean() < 0.1
        assert any(border.any() for border in borders)


def test_highlights_only_brighten() -> None:
    altered = apply(replace(STILL, highlight=1.0))
    assert (altered >= image()).all()
    assert (altered > image()).any()


def test_temperature_moves_red_against_blue() -> None:
    grey = np.full((16, 16, 3), 120, np.uint8)
    altered = apply(replace(STILL, temperature=0.3), pixels=grey).reshape(-1, 3).mean(axis=0)
    assert (altered[0] - 120) * (altered[2] - 120) < 0


def test_noise_has_the_strength_that_was_asked_for() -> None:
    grey = np.full((200, 200, 3), 128, np.uint8)
    sigmas = [
        apply(replace(STILL, noise=1.0, noise_sigma=6.0), seed, grey).std() for seed in range(20)
    ]
    assert min(sigmas) > 0.9
    assert 3 < max(sigmas) < 6.3


def test_blur_keeps_the_mean_and_takes_the_detail() -> None:
    altered = apply(replace(STILL, blur=1.0, blur_length=40.0))
    assert abs(float(altered.mean()) - float(image().mean())) < 3
    assert altered.std() < image().std()


def test_a_contact_sheet_has_a_cell_for_each_image() -> None:
    white = np.full((30, 30, 3), 255, np.uint8)
    sheet = contact_sheet([[white, white], [white]], tile=10, gap=2)
    assert sheet.shape == (26, 26, 3)
    assert int((sheet == 255).all(axis=2).sum()) == 300
