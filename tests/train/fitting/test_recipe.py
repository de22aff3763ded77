from itertools import pairwise

import pytest

from edge_runtime.errors import UsageError
from train.fitting.recipe import Recipe


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


def test_stages_join_from_the_top_once_the_head_has_learned() -> None:
    recipe = Recipe(epochs=6, freeze_epochs=1, unfreeze_epochs=3)
    assert [recipe.learning_stages(epoch, 8) for epoch in range(6)] == [0, 2, 4, 6, 8, 8]
    assert [recipe.learning_stages(epoch, 3) for epoch in range(6)] == [0, 1, 2, 3, 3, 3]
    at_once = Recipe(epochs=3, freeze_epochs=1)
    assert [at_once.learning_stages(epoch, 8) for epoch in range(3)] == [0, 8, 8]
    assert Recipe(epochs=2, freeze_epochs=2).learning_stages(1, 8) == 0


def test_an_epoch_shows_whole_updates_or_all_of_less_than_one() -> None:
    recipe = Recipe(batch_size=32, min_epoch_images=0)
    assert [recipe.shown(images) for images in (5, 32, 63, 64)] == [5, 32, 32, 64]
    gathering = Recipe(batch_size=16, grad_accum_steps=2, min_epoch_images=0)
    assert [gathering.shown(images) for images in (5, 63)] == [5, 32]
    assert [Recipe(batch_size=32, epoch_images=70).shown(images) for images in (5, 900)] == [64, 64]


def test_few_images_are_shown_again_and_many_once() -> None:
    recipe = Recipe(batch_size=32, min_epoch_images=512)
    assert [recipe.shown(images) for images in (2, 138, 512, 600)] == [512, 512, 512, 576]
    of_its_own = Recipe(batch_size=32, min_epoch_images=512, epoch_images=64)
    assert of_its_own.shown(138) == 64


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
        {"epoch_images": 1},
        {"min_epoch_images": -1},
        {"bn_momentum": 0},
        {"bn_momentum": 1.5},
        {"unfreeze_epochs": 12},
        {"grad_accum_steps": 0},
        {"layer_decay": 1.1},
        {"clip_grad": 0.0},
        {"drop_path": 1.0},
        {"focal_gamma": -0.5},
        {"class_balance_beta": 1.0},
        {"generalized_q": 0.0},
    ],
)
def test_a_value_that_cannot_be_is_refused_by_its_flag(change: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="expected a value from") as caught:
        Recipe(**change)
    flags = [f"--{name.replace('_', '-')} " for name in change]
    assert any(flag in str(caught.value) for flag in flags)


def test_an_unknown_loss_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="--loss hinge: expected one of cross-entropy, class-bal"):
        Recipe(loss="hinge")  # type: ignore[arg-type]
