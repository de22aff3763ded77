"""Limits from images: their cost, what damaged images do to them, and which switch themselves off."""

import numpy as np
import pytest

from edge_runtime.contracts.quality import Appearance, Check, Measure
from edge_runtime.quality.judging import Judge
from edge_runtime.quality.measures import Eye, read
from optimize.quality_limits import tails
from optimize.quality_limits.appearance import fit
from optimize.quality_limits.trials import TRIALS, smeared
from tests.quality_scenes import image, reference_of, scene, scenes_reference

SMEARED = 20
"""Of two hundred."""


def mixed() -> tuple[list[np.ndarray], np.ndarray]:
    """Scenes of which every tenth is smeared, as the simulated line has them."""
    rng = np.random.default_rng(1)
    frames = [scene(seed) for seed in range(200)]
    damaged = np.arange(200) % 10 == 0
    return [
        smeared(rng, frame, 1 / 8, 0.5) if bad else frame
        for frame, bad in zip(frames, damaged, strict=True)
    ], damaged


def plain_fit(tiles: np.ndarray) -> Appearance:
    """Principal directions of all images, damaged ones included."""
    rows = tiles.reshape(len(tiles), -1)
    mean = rows.mean(axis=0)
    found = np.linalg.svd(rows - mean, full_matrices=False)[2][:4]
    residuals = (rows - mean) - ((rows - mean) @ found.T) @ found
    return Appearance(
        mean=tuple(mean),
        deviation=tuple(residuals.std(axis=0)),
        directions=tuple(map(tuple, found)),
    )


def test_damaged_images_are_set_aside_and_the_limits_still_catch_their_like() -> None:
    frames, damaged = mixed()
    made = reference_of([image(frame) for frame in frames])
    assert 0.8 * SMEARED <= made.set_aside <= 1.2 * SMEARED
    judge = Judge(made)
    rng = np.random.default_rng(9)
    fresh = [smeared(rng, scene(seed), 1 / 8, 0.5) for seed in range(1000, 1040)]
    assert sum(judge.rejection(read(frame)) is not None for frame in fresh) >= 36
    sound = [scene(seed) for seed in range(2000, 2040)]
    assert sum(judge.rejection(read(frame)) is not None for frame in sound) <= 2
    assert damaged.sum() == SMEARED


def test_a_plain_fit_would_have_learnt_the_damage() -> None:
    frames, damaged = mixed()
    readings = [read(frame) for frame in frames]
    tiles = np.stack([frame.tiles for frame in readings])

    def margin(appearance: Appearance) -> float:
        """By how many times the mildest smear exceeds the strangest sound frame."""
        eye = Eye(appearance)
        smears = np.array([eye.look(frame).values[Measure.SMEAR] for frame in readings])
        return float(np.quantile(smears[damaged], 0.1) / smears[~damaged].max())

    assert margin(fit(tiles)) > 1.5 * margin(plain_fit(tiles))


def test_a_lower_cost_sets_wider_limits() -> None:
    images = [image(scene(seed)) for seed in range(200)]
    strict, wide = (reference_of(images, cost) for cost in (0.05, 0.001))
    for narrow, broad in zip(strict.limits, wide.limits, strict=True):
        sign = 1 if narrow.side == "highest" else -1
        assert sign * broad.value >= sign * narrow.value


def test_where_pictures_have_nothing_in_common_the_checks_of_place_switch_themselves_off() -> None:
    rng = np.random.default_rng(2)

    def anything() -> np.ndarray:
        frame = np.roll(scene(int(rng.integers(9999))), rng.integers(0, 64, 2), (0, 1))
        return np.ascontiguousarray(np.rot90(frame, rng.integers(4)))

    made = reference_of([image(anything()) for _ in range(200)])
    off = {limit.measure: limit.off for limit in made.limits if limit.off is not None}
    assert Measure.PATTERN in off
    assert "half a frame off would be noticed in" in (off[Measure.PATTERN] or "")
    assert Measure.PATTERN not in {
        limit.measure for limit in scenes_reference().limits if limit.off is not None
    }


def test_a_rare_class_is_not_turned_away_for_its_strangeness() -> None:
    def defective(seed: int) -> np.ndarray:
        pixels = scene(seed)
        pixels[24:40, 24:40] = pixels[24:40, 24:40].mean()
        return pixels

    images = [image(scene(seed)) for seed in range(200)]
    images += [image(defective(seed), label="burnt") for seed in range(300, 316)]
    judge = Judge(reference_of(images))
    turned_away = [judge.rejection(read(defective(seed))) for seed in range(400, 440)]
    assert sum(reason is not None for reason in turned_away) <= 8
    unaware = Judge(scenes_reference())
    lost = [unaware.rejection(read(defective(seed))) for seed in range(400, 440)]
    assert sum(reason is not None for reason in lost) > 30


def test_every_check_but_the_stuck_picture_has_a_trial() -> None:
    assert {trial.check for trial in TRIALS} == set(Check) - {Check.STUCK}


@pytest.mark.parametrize("share", [0.02, 0.002])
def test_a_limit_is_exceeded_by_the_share_that_was_asked_for(share: float) -> None:
    rng = np.random.default_rng(0)
    limits = [tails.limit(rng.exponential(size=1000), share, 0.0) for _ in range(50)]
    assert np.exp(-np.median(limits)) == pytest.approx(share, rel=0.25)


def test_a_third_of_a_few_is_set_aside_as_well() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=8), rng.normal(25, 2, size=4)])
    assert not tails.set_aside(values, 0.01)[8:].any()
    aside = tails.set_aside(values, 0.01, few=True)
    assert aside[8:].all()
    assert not aside[:8].any()


def test_an_eighth_of_damaged_images_is_set_aside_and_no_sound_one() -> None:
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(size=875), rng.normal(12, 2, size=125)])
    aside = tails.set_aside(values, 0.01)
    assert not aside[:875].any()
    assert aside[875:].mean() > 0.95
