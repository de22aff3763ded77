"""Sides that take turns: what is made of their times, and what happens when one cannot run."""

import os

import numpy as np
import pytest

from benchmarks.turns import Network, Side, processes, ratio, rounds

FRAMES = np.full((2, 4, 4, 3), 7, np.uint8)


def open_mean(threads: int) -> Network:
    """Answers with the mean pixel and the threads it was given."""
    return lambda frames: np.stack([frames.mean((1, 2, 3)), np.full(len(frames), threads)], 1)


def open_nothing(_threads: int) -> Network:
    raise FileNotFoundError("no such model")


def open_vanishing(_threads: int) -> Network:
    os._exit(3)


def test_a_ratio_is_the_median_over_rounds_with_the_interval_of_order_statistics() -> None:
    # Of ten, the second and the ninth bound the median with 97.9 %, the third and eighth with 89 %.
    found = ratio([*range(1, 11)], [1] * 10)
    assert (found.median, found.low, found.high) == (5.5, 2, 9)


def test_the_interval_of_a_few_rounds_is_their_range() -> None:
    found = ratio([3, 1, 2], [1, 1, 1])
    assert (found.median, found.low, found.high) == (2, 1, 3)


def test_sides_answer_and_take_their_turns_in_processes_of_their_own() -> None:
    sides = [Side(name=name, open=open_mean) for name in ("one", "other")]
    with processes(sides, threads=2) as opened:
        assert opened["one"].answer(FRAMES).tolist() == [[7, 2], [7, 2]]
        turns = rounds(opened, FRAMES, count=2, batches=3)
    assert {name: len(taken) for name, taken in turns.items()} == {"one": 2, "other": 2}


@pytest.mark.parametrize(
    ("opener", "said"),
    [(open_nothing, "lame: FileNotFoundError: no such model"), (open_vanishing, "ended by itself")],
)
def test_a_side_that_cannot_run_ends_the_benchmark_by_name(opener: object, said: str) -> None:
    with (
        pytest.raises(SystemExit, match=said),
        processes([Side(name="lame", open=opener)], threads=1),  # type: ignore[arg-type]
    ):
        pass
