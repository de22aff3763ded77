"""Ranges agree with plain sets in everything but size."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.consumer.ranges import Ranges

NUMBERS = st.integers(min_value=0, max_value=40)
STEPS = st.lists(st.tuples(st.booleans(), NUMBERS, NUMBERS), max_size=40)


@given(STEPS, NUMBERS, NUMBERS)
def test_ranges_are_a_set_of_numbers(
    steps: list[tuple[bool, int, int]], low: int, high: int
) -> None:
    ranges, numbers = Ranges(), set[int]()
    for adding, first, last in steps:
        if adding:
            ranges.add(first, last)
            numbers |= set(range(first, last + 1))
        else:
            ranges.remove(first, last)
            numbers -= set(range(first, last + 1))
        pairs = list(ranges)
        assert {number for f, n in pairs for number in range(f, n + 1)} == numbers
        assert all(n + 1 < f for (_, n), (f, _) in pairwise(pairs))
        assert ranges.count == len(numbers)
        assert all((number in ranges) == (number in numbers) for number in range(-1, 42))
    inside = {number for f, n in ranges.within(low, high) for number in range(f, n + 1)}
    assert inside == numbers & set(range(low, high + 1))
    assert list(Ranges(ranges)) == list(ranges)


def test_half_a_million_numbers_are_one_range() -> None:
    ranges = Ranges()
    for number in range(500_000):
        ranges.add(number, number)
    assert (len(ranges), ranges.count, str(ranges)) == (1, 500_000, "0-499999")
