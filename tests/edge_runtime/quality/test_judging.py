"""Which frames are turned away, and what is said of them."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.quality import Check, Measure
from edge_runtime.contracts.verdict import reason_code
from edge_runtime.quality.judging import Judge
from edge_runtime.quality.measures import Eye, read
from optimize.quality_limits.trials import covered, defocused, gained, shifted
from tests.quality_scenes import scene, scenes_reference

FRESH = range(1000, 1040)
"""Scenes that no limit was set on."""


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(scenes_reference())


def smear(pixels: Pixels) -> Pixels:
    """Moved along the bead, on the left."""
    half = pixels.shape[1] // 2
    return np.hstack((cv2.blur(pixels, (9, 1))[:, :half], pixels[:, half:]))


def cover(pixels: Pixels) -> Pixels:
    return covered(np.random.default_rng(5), pixels, 0.4)


def test_good_frames_pass(judge: Judge) -> None:
    turned_away = [judge.rejection(read(scene(seed))) for seed in FRESH]
    assert sum(reason is not None for reason in turned_away) <= 1


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda pixels: gained(pixels, 0.2, 0.2, 0.2), Check.DARK),
        (lambda pixels: gained(pixels, 2.5, 2.5, 2.5), Check.OVEREXPOSED),
        (lambda pixels: gained(pixels, 1.3, 1.0, 0.8), Check.COLOUR_CAST),
        (lambda pixels: gained(pixels, 0.95, 1.2, 0.95), Check.COLOUR_CAST),
        (shifted, Check.NO_SEAM),
        (cover, Check.OCCLUDED),
        (lambda pixels: defocused(pixels, 0.015), Check.BLURRED),
        (smear, Check.BLURRED),
    ],
    ids=["dark", "light", "warm", "green", "off its place", "covered", "defocused", "smeared"],
)
def test_each_damage_is_turned_away_under_its_code(
    damage: Callable[[Pixels], Pixels], code: Check, judge: Judge
) -> None:
    reasons = [judge.rejection(read(damage(scene(seed)))) for seed in FRESH]
    codes = [reason_code(reason) for reason in reasons if reason is not None]
    assert codes.count(code) > 0.7 * len(FRESH), reasons


def test_a_reason_says_what_was_seen_and_the_limit(judge: Judge) -> None:
    limit = next(each for each in scenes_reference().limits if each.check is Check.DARK)
    dark = gained(scene(1000), 0.2, 0.2, 0.2)
    seen = read(dark).statistics.brightness
    assert judge.rejection(read(dark)) == (
        f"dark: mean grey level {seen:.0f}, lowest {limit.value:.0f}"
    )


def test_a_reason_names_the_place() -> None:
    pixels = scene(1000)
    pixels[:20, 40:] = 20
    eye = Eye(scenes_reference().appearance)
    assert eye.look(read(pixels)).covered == "at the upper right"


def test_a_limit_that_is_off_turns_nothing_away() -> None:
    made = scenes_reference()
    idle = [
        each.model_copy(update={"off": "told so"}) if each.check is Check.DARK else each
        for each in made.limits
    ]
    dark = read(gained(scene(1000), 0.2, 0.2, 0.2))
    reason = Judge(made.model_copy(update={"limits": tuple(idle)})).rejection(dark)
    assert reason_code(reason or "") != Check.DARK


def test_less_light_is_not_taken_for_less_sharpness() -> None:
    eye = Eye(scenes_reference().appearance)
    bright, dim = (eye.look(read(gained(scene(7), g, g, g))).values for g in (1.0, 0.7))
    assert dim[Measure.CRISPNESS] == pytest.approx(bright[Measure.CRISPNESS], abs=0.1)
    assert dim[Measure.SMEAR] < 6


@pytest.mark.parametrize("shade", [0, 128, 255])
@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 40), (64, 48)])
def test_every_frame_of_every_size_has_finite_measures(shade: int, height: int, width: int) -> None:
    flat = np.full((height, width, 3), shade, np.uint8)
    values = Eye(scenes_reference().appearance).look(read(flat)).values
    assert set(values) == set(Measure)
    assert np.isfinite(list(values.values())).all()
