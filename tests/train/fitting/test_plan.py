"""Verdicts: what fits, what does not, and that what is said to help does."""

import re
from dataclasses import replace

from train.fitting.budget import Pace, Reading, Work
from train.fitting.plan import Plan
from train.fitting.recipe import Recipe

PACE = Pace(teaching=1000.0, validating=4000.0, loading=3000.0, updating=1100.0)


def plan(recipe: Recipe | None = None, **changes: object) -> Plan:
    recipe = recipe or Recipe(epochs=12, batch_size=64)
    whole = Plan(
        works={
            "source": Work(recipe=recipe, images=4_200_000, val_split=0.1),
            "target": Work(recipe=recipe, images=38_000, val_split=0.1),
        },
        hours=48,
        memory_gb=16,
        paces={256: PACE},
        opening=5000.0,
        readings=(Reading(batch=32, peak=3e9), Reading(batch=64, peak=5e9)),
        largest=240,
    )
    return replace(whole, **changes)


def test_a_plan_that_fits_says_what_else_would() -> None:
    fitting = plan()
    assert fitting.fits
    assert fitting.verdict() == (
        "fits: 13.3 h of 48 and 5.0 GB of 16; up to 43 epochs and a batch of 240 would"
    )


def test_too_many_epochs_are_told_how_many_do() -> None:
    long = plan(Recipe(epochs=100, batch_size=64))
    assert not long.fits
    assert "100 epochs take 109 h of 48: take --epochs 43, or a machine 2.3 times" in long.verdict()
    assert plan(Recipe(epochs=43, batch_size=64)).fits


def test_where_no_epoch_fits_part_of_one_does() -> None:
    short = plan(hours=0.6)
    found = re.search(r"not even one does; take --epoch-images (\d+),", short.verdict())
    assert found
    recipe = Recipe(epochs=12, batch_size=64, epoch_images=int(found[1]))
    assert not short.fits
    assert plan(recipe, hours=0.6).fits


def test_where_opening_takes_longer_fewer_images_are_asked_for() -> None:
    assert "opening and validation alone take longer" in plan(hours=0.1).verdict()


def test_a_batch_that_is_too_large_is_split_into_steps() -> None:
    wide = plan(memory_gb=4, largest=40)
    assert not wide.fits
    assert "a batch of 64 takes 5.0 GB of 4: take --batch-size 40 --grad-accum-steps 2" in (
        wide.verdict()
    )
    refused = (Reading(batch=32, peak=float("inf")), Reading(batch=64, peak=float("inf")))
    hopeless = plan(readings=refused, largest=0)
    assert "a smaller --model or --img-size" in hopeless.verdict()


def test_both_shortfalls_are_named_at_once() -> None:
    assert plan(hours=1, memory_gb=1, largest=8).verdict().count(";") >= 1


def test_the_table_has_every_side_run_and_batch() -> None:
    text = "\n".join(plan().table())
    for word in ("256 px", "1,000.0", "4,200,000", "38,000", "together", "5.00", "9%"):
        assert word in text
