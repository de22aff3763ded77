"""The search restores as few layers as will do, and knows when to give up."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.builder.restoration import search


@dataclass(frozen=True, slots=True)
class Tried:
    count: int
    passed: bool
    worthwhile: bool = True


@given(layers=st.integers(1, 200), needed=st.integers(1, 300))
def test_the_fewest_layers_that_pass_are_found_in_few_attempts(layers: int, needed: int) -> None:
    best, tries = search(layers, lambda count: Tried(count, count >= needed))
    assert len(tries) <= 2 * layers.bit_length() + 1
    assert len({tried.count for tried in tries}) == len(tries)
    assert all(1 <= tried.count <= layers for tried in tries)
    if needed <= layers:
        assert best is not None
        assert best.count == needed
    else:
        assert best is None
        assert max(tried.count for tried in tries) == layers


def test_nothing_is_tried_once_the_speed_up_is_gone() -> None:
    best, tries = search(64, lambda count: Tried(count, passed=False, worthwhile=count < 4))
    assert best is None
    assert [tried.count for tried in tries] == [1, 2, 4]


@pytest.mark.parametrize("worthwhile", [True, False])
def test_what_passes_and_is_not_faster_is_not_chosen(worthwhile: bool) -> None:
    best, _ = search(1, lambda count: Tried(count, passed=True, worthwhile=worthwhile))
    assert (best is not None) is worthwhile


def test_a_model_of_one_layer_has_nothing_to_restore() -> None:
    assert search(0, lambda count: Tried(count, passed=True)) == (None, ())
