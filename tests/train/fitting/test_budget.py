"""The arithmetic of a plan, held against what it claims: one more would not fit."""

import math
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from train.fitting.budget import (
    Pace,
    Reading,
    Work,
    largest_batch,
    most_epoch_images,
    most_epochs,
    smaller_batch,
    total_seconds,
    with_epochs,
)
from train.fitting.recipe import Recipe

rates = st.floats(1, 1e5)
paces_at = st.builds(Pace, teaching=rates, validating=rates, loading=rates, updating=rates)
recipes = st.builds(
    lambda epochs, frozen, small, batch: Recipe(
        img_size=64,
        train_img_size=32 if small else None,
        epochs=epochs,
        full_size_epochs=2,
        freeze_epochs=min(frozen, epochs),
        batch_size=batch,
    ),
    st.integers(1, 30),
    st.integers(0, 3),
    st.booleans(),
    st.integers(2, 64),
)
shares = st.floats(0.01, 0.5)


@st.composite
def works(draw: st.DrawFn) -> list[Work]:
    recipe, share = draw(recipes), draw(shares)
    sizes = draw(st.lists(st.integers(2, 5_000_000), min_size=1, max_size=2))
    return [Work(recipe=recipe, images=size, val_split=share) for size in sizes]


def over(given_works: list[Work], epochs: int) -> list[Work]:
    return [replace(work, recipe=with_epochs(work.recipe, epochs)) for work in given_works]


@given(works=works(), small=paces_at, full=paces_at, opening=rates, seconds=st.floats(1, 1e7))
def test_the_epochs_found_fit_and_one_more_does_not(
    works: list[Work], small: Pace, full: Pace, opening: float, seconds: float
) -> None:
    paces = {32: small, 64: full}
    found = most_epochs(works, paces, opening, seconds=seconds)
    if found:
        assert total_seconds(over(works, found), paces, opening) <= seconds
    if found < 1000:
        assert total_seconds(over(works, found + 1), paces, opening) > seconds


@given(works=works(), small=paces_at, full=paces_at, opening=rates, seconds=st.floats(1, 1e7))
def test_the_images_per_epoch_found_fit_and_a_batch_more_does_not(
    works: list[Work], small: Pace, full: Pace, opening: float, seconds: float
) -> None:
    paces = {32: small, 64: full}

    def needed(images: int) -> float:
        limited = [
            replace(w, recipe=replace(w.recipe, epoch_images=min(images, w.shown()))) for w in works
        ]
        return total_seconds(limited, paces, opening)

    assume(all(work.shown() >= 2 for work in works))
    found = most_epoch_images(works, paces, opening, seconds=seconds)
    if found:
        assert needed(found) <= seconds
    more = found + 2 * works[0].recipe.update_size
    if more <= max(work.shown() for work in works):
        assert needed(more) > seconds


def test_a_run_takes_its_opening_its_epochs_and_its_validations() -> None:
    recipe = Recipe(img_size=64, train_img_size=32, epochs=5, full_size_epochs=2, batch_size=10)
    small = Pace(teaching=80, validating=200, loading=1, updating=1)
    full = Pace(teaching=40, validating=100, loading=1, updating=1)
    work = Work(recipe=recipe, images=1000, val_split=0.2)
    assert work.shown() == 800
    expected = 1000 / 500 + 3 * (800 / 80 + 200 / 200) + 2 * (800 / 40 + 200 / 100)
    assert work.seconds({32: small, 64: full}, 500) == pytest.approx(expected)


@given(
    fixed=st.integers(0, 10**9),
    each=st.integers(1, 10**8),
    batches=st.lists(st.integers(2, 512), min_size=2, max_size=4, unique=True),
    limit=st.integers(1, 10**11),
)
def test_memory_on_a_line_gives_the_largest_batch_in_steps_of_eight(
    fixed: int, each: int, batches: list[int], limit: int
) -> None:
    readings = [Reading(batch=batch, peak=fixed + each * batch) for batch in batches]
    found = largest_batch(readings, limit)
    assert fixed + each * found <= limit * (1 + 1e-9) or not found
    assert fixed + each * (found + 8) > limit * (1 - 1e-9) - 8 * each * 1e-9
    assert found < 8 or found % 8 == 0


def test_a_refused_batch_is_not_on_the_line() -> None:
    refused = Reading(batch=64, peak=math.inf)
    assert largest_batch([refused], 1e9) == 0
    assert largest_batch([Reading(batch=32, peak=8e8), refused], 1e9) == 40


@given(st.integers(1, 10_000))
def test_trying_less_ends(batch: int) -> None:
    tried = 0
    while batch:
        assert smaller_batch(batch) < batch
        batch = smaller_batch(batch)
        tried += 1
    assert tried < 60


def test_the_loader_costs_what_the_network_waits_for() -> None:
    assert Pace(teaching=75, updating=100, loading=1, validating=1).loader_share == 0.25
    assert Pace(teaching=101, updating=100, loading=1, validating=1).loader_share == 0
