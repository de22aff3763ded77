import math
from collections.abc import Iterable

import numpy as np
import pytest

from train.fitting.loss_level import LossLevel

UNDECIDED = 1.8


def after(losses: Iterable[float], level: LossLevel | None = None) -> LossLevel:
    level = level or LossLevel()
    for loss in losses:
        level = level.after(loss, UNDECIDED)
    return level


FALLING = [1.8 * math.exp(-step / 100) + 0.1 for step in range(600)]


def test_a_falling_loss_with_noise_and_hard_batches_goes_on() -> None:
    noise = np.random.default_rng(0).exponential(1.0, len(FALLING))
    losses = [loss * more for loss, more in zip(FALLING, noise, strict=True)]
    losses[400] = 60.0
    assert not after(losses).diverged


def test_a_loss_that_stays_far_above_where_it_was_has_run_away() -> None:
    settled = after(FALLING)
    assert not after([5.0] * 150, settled).diverged
    assert after([5.0] * 300, settled).diverged


def test_a_rise_that_passes_is_no_divergence() -> None:
    level = after([5.0] * 150, after(FALLING))
    assert not after([5.0] * 150, after([0.1] * 300, level)).diverged


def test_a_loss_near_nothing_may_rise_manifold() -> None:
    assert not after([0.02] * 400, after([0.001] * 400)).diverged


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_has_diverged_at_once(loss: float) -> None:
    assert after([loss]).diverged
    assert after([loss, 1.0], after(FALLING)).diverged
