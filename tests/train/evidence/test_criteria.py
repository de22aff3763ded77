import re

import pytest

from edge_runtime.errors import UsageError
from optimize.bounds import Trials
from train.evidence.criteria import CRITERIA, Criteria, both_sides, judge, too_few
from train.figures.intervals import Figure


def figure(name: str, value: float | None, interval: tuple[float, float] | None) -> Figure:
    return Figure(name=name, value=value, interval=interval, images=100)


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.90, (0.86, 0.94), "defect recall >= 0.85: 0.9000, at least 0.8600 .*: met by the bound"),
        (
            0.90,
            (0.84, 0.94),
            "0.9000, at least 0.8400 with 95% .*: met by the point estimate alone",
        ),
        (0.80, (0.75, 0.94), "0.8000, at least 0.7500 .*: NOT met"),
        (0.90, None, "0.9000, no bound .*: met by the point estimate alone"),
        (None, None, "defect recall >= 0.85: not measured, no such images"),
    ],
)
def test_a_least_value_is_met_by_its_lower_bound(
    value: float | None, interval: tuple[float, float] | None, expected: str
) -> None:
    found = judge([figure("defect recall", value, interval)], CRITERIA, 0.95)[0]
    assert re.fullmatch(f".*{expected}", found.sentence())


@pytest.mark.parametrize(
    ("value", "interval", "by_value", "by_bound"),
    [
        (0.02, (0.01, 0.029), True, True),
        (0.02, (0.01, 0.031), True, False),
        (0.04, (0.01, 0.05), False, False),
    ],
)
def test_a_largest_value_is_met_by_its_upper_bound(
    value: float, interval: tuple[float, float], by_value: bool, by_bound: bool
) -> None:
    found = judge([figure("false positives", value, interval)], CRITERIA, 0.95)[1]
    assert (found.met_by_value, found.met_by_bound) == (by_value, by_bound)
    assert found.bound == interval[1]


def test_the_ends_of_an_interval_of_both_sides_are_the_one_sided_bounds() -> None:
    trials = Trials.of([str(n) for n in range(200)])
    low, high = trials.interval(190, both_sides(0.95))
    assert low == pytest.approx(float(trials.at_least(190, 0.95)))
    assert high == pytest.approx(float(trials.at_most(190, 0.95)))


@pytest.mark.parametrize(
    ("defective", "good", "expected"), [(19, 99, False), (18, 99, True), (19, 98, True)]
)
def test_a_slice_is_small_where_faultless_answers_would_not_do(
    defective: int, good: int, expected: bool
) -> None:
    kinds = [Trials.of([str(n) for n in range(count)]) for count in (defective, good)]
    assert too_few(*kinds, CRITERIA, 0.95) == expected


def test_a_share_out_of_range_is_refused() -> None:
    with pytest.raises(UsageError, match="--max-false-positives -1"):
        Criteria(max_false_positives=-1)
