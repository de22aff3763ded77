from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optimize.data.dataset import Dataset
from optimize.data.manifest import Sample
from train.data.split import Plan, assign
from train.data.time_order import moment
from train.errors import DatasetError

PLAN = Plan(test_share=0.25, val_share=0.25, time_ordered=True)


def dataset(rows: list[tuple[str, str, str]]) -> Dataset:
    """From (label, group, day of March or the whole time)."""
    return Dataset(
        root=Path(),
        samples=tuple(
            Sample(
                path=f"{number}.png",
                label=label,
                group=group,
                captured_at=f"2025-03-{int(time):02d}T12:00:00Z" if time.isdecimal() else time,
            )
            for number, (label, group, time) in enumerate(rows)
        ),
    )


def alternating(days: int) -> list[tuple[str, str, str]]:
    """A group of one image of each of two classes, day by day."""
    return [("ab"[n % 2], f"g{n:02}", str(n // 2 + 1)) for n in range(2 * days)]


def test_the_latest_groups_are_sealed_and_the_cut_is_told() -> None:
    found = assign(dataset(alternating(8)), PLAN)
    assert [n for n, side in enumerate(found.sides) if side == "test"] == [12, 13, 14, 15]
    assert found.cut == datetime(2025, 3, 7, 12, tzinfo=UTC)
    assert found.straddling == 0


def test_groups_of_the_same_time_stay_together() -> None:
    rows = [*alternating(6), *(("ab"[n % 2], f"late{n}", "20") for n in range(8))]
    found = assign(dataset(rows), PLAN)
    assert list(found.sides).count("test") == 8  # a quarter would be five


def test_a_group_that_straddles_the_cut_is_sealed_whole() -> None:
    rows = [*alternating(8), ("a", "g15", "2")]
    found = assign(dataset(rows), PLAN)
    assert found.sides[16] == "test"
    assert found.straddling == 1


@given(
    days=st.lists(st.integers(1, 28), min_size=12, max_size=60),
    groups=st.integers(6, 20),
)
def test_nothing_that_is_taught_is_as_late_as_the_cut(days: list[int], groups: int) -> None:
    rows = [("ab"[n % 2], f"g{n * 7 % groups}", str(day)) for n, day in enumerate(days)]
    data = dataset(rows)
    try:
        found = assign(data, PLAN)
    except DatasetError:
        return
    assert found.cut is not None
    for sample, side in zip(data.samples, found.sides, strict=True):
        time = moment(sample.captured_at)
        assert time is not None
        assert side == "test" or time < found.cut


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [*alternating(8), ("a", "x", "")],
            "1 of 17 images have no captured_at, first 16.png: a time-ordered test set needs one",
        ),
        ([*alternating(8), ("a", "x", "soon")], "captured_at 'soon' of 16.png is no time"),
        (
            [*alternating(8), *(("c", f"c{n}", "5") for n in range(4))],
            "class 'c' was last captured at 2025-03-05T12:00:00.*: --test-split 0.35 reaches it, or",
        ),
        (
            [*alternating(8), *(("c", f"c{n}", "1") for n in range(4))],
            "class 'c' was last captured at 2025-03-01.*: leave out --time-ordered, or the class",
        ),
        (
            [*alternating(8), *(("c", f"c{n}", str(n + 6)) for n in range(3))],
            r"class 'c' has 1 of its 3 groups \(c0, c1, c2\) before the test set begins at 2025-03-07",
        ),
    ],
)
def test_what_time_cannot_part_is_refused(rows: list[tuple[str, str, str]], expected: str) -> None:
    with pytest.raises(DatasetError, match=expected):
        assign(dataset(rows), PLAN)


def test_a_time_without_a_zone_is_taken_to_be_utc() -> None:
    assert moment("2025-03-01 06:00") == moment("2025-03-01T08:00:00+02:00")
    assert moment("0001-01-01T00:00:00+09:00") is None
