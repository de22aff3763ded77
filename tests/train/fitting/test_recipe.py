from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.errors import UsageError
from train.fitting.recipe import Recipe, draw_epoch, drawing_shares


def test_the_rate_is_flat_while_frozen_then_rises_then_falls() -> None:
    recipe = Recipe(epochs=6, freeze_epochs=1, warmup_epochs=2, lr=1.0, min_lr=0.01)
    rates = [recipe.learning_rate(step, 10) for step in range(60)]
    assert rates[:10] == [1.0] * 10
    assert all(a < b for a, b in pairwise(rates[10:31]))
    assert all(a > b for a, b in pairwise(rates[30:]))
    assert rates[30] == 1.0
    assert 0.01 < rates[-1] < 0.02


def test_a_run_may_be_all_frozen_or_all_warm_up() -> None:
    assert Recipe(epochs=2, freeze_epochs=2, lr=1.0).learning_rate(7, 4) == 1.0
    rates = [
        Recipe(epochs=2, freeze_epochs=0, warmup_epochs=9).learning_rate(s, 4) for s in range(8)
    ]
    assert all(0 < a < b for a, b in pairwise(rates))


def test_the_last_epochs_run_at_full_size() -> None:
    recipe = Recipe(img_size=256, train_img_size=192, epochs=5, full_size_epochs=2)
    assert [recipe.side(epoch) for epoch in range(5)] == [192, 192, 192, 256, 256]
    assert Recipe(img_size=256).side(0) == 256


def test_the_average_follows_closely_at_first() -> None:
    recipe = Recipe(model_ema_decay=0.99)
    decays = [recipe.ema_decay(step) for step in range(2000)]
    assert decays[0] == 0.1
    assert max(decays) == 0.99
    assert decays == sorted(decays)


@pytest.mark.parametrize(
    "change",
    [
        {"img_size": 4},
        {"img_size": 128, "train_img_size": 256},
        {"full_size_epochs": 0},
        {"epochs": 0},
        {"freeze_epochs": 13},
        {"batch_size": 1},
        {"lr": 0.0},
        {"lr": float("nan")},
        {"min_lr": 1.0},
        {"smoothing": 1.0},
        {"model_ema_decay": 1.0},
        {"sampling_power": 1.5},
        {"seed": -1},
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_flag(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected a value from") as caught:
        Recipe(**change)
    flags = [f"--{name.replace('_', '-')} " for name in change]
    assert any(flag in str(caught.value) for flag in flags)


def test_shares_run_from_as_they_come_to_all_alike() -> None:
    np.testing.assert_allclose(drawing_shares([900, 100], 1.0), [0.9, 0.1])
    np.testing.assert_allclose(drawing_shares([900, 100], 0.5), [0.75, 0.25])
    np.testing.assert_allclose(drawing_shares([900, 100], 0.0), [0.5, 0.5])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_a_class_without_images_is_not_drawn(power: float) -> None:
    np.testing.assert_allclose(drawing_shares([40, 0, 40], power), [0.5, 0.0, 0.5])


def test_an_epoch_shows_whole_batches_or_all_of_less_than_one() -> None:
    recipe = Recipe(batch_size=32)
    assert [recipe.shown(images) for images in (5, 32, 63, 64)] == [5, 32, 32, 64]


@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=6),
    power=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_an_epoch_meets_the_shares_and_repeats_no_image_before_its_class_is_through(
    counts: list[int], power: float, seed: int
) -> None:
    classes = np.repeat(np.arange(len(counts)), counts)
    shares = drawing_shares(counts, power)
    drawn = draw_epoch(classes, shares, np.random.default_rng(seed))
    assert len(drawn) == len(classes)
    for label, count in enumerate(counts):
        of_class = drawn[classes[drawn] == label]
        quota = shares[label] * len(classes)
        assert quota - 1 <= len(of_class) <= quota + len(counts)
        times = np.bincount(of_class, minlength=len(classes))[classes == label]
        assert times.max() - times.min() <= 1, count


def test_the_order_is_shuffled_and_repeats_with_its_seed() -> None:
    classes = np.repeat([0, 1], [30, 10])
    shares = drawing_shares([30, 10], 1.0)
    first, again, other = (
        draw_epoch(classes, shares, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert sorted(first.tolist()) == list(range(40))
