import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.figures.worth import estimate_labels, labels_needed


@given(
    slope=st.floats(0.01, 0.2),
    offset=st.floats(-0.5, 0.5),
    places=st.lists(st.floats(2, 12), min_size=2, max_size=7, unique=True),
    where=st.floats(0, 1),
)
def test_on_a_straight_curve_the_labels_are_those_of_the_formula(
    slope: float, offset: float, places: list[float], where: float
) -> None:
    labels = np.exp(np.sort(places))
    if (np.diff(labels) < 1e-6).any():
        return
    curve = (offset + slope * np.log(labels))[None]
    logarithm = math.log(labels[0]) + where * math.log(labels[-1] / labels[0])
    target = np.array([offset + slope * logarithm])
    found = labels_needed(labels, curve, np.minimum(target, curve.max()))
    assert found[0] == pytest.approx(math.exp(logarithm), rel=1e-4)


def test_beyond_the_ends_nothing_is_claimed() -> None:
    labels = np.array([10.0, 100.0, 1000.0])
    curve = np.array([[0.2, 0.4, 0.6]] * 4)
    target = np.array([0.1, 0.2, 0.61, np.nan])
    np.testing.assert_array_equal(
        labels_needed(labels, curve, target), [10, 10, math.inf, math.inf]
    )


def test_a_dip_and_an_undefined_point_are_passed_over() -> None:
    labels = np.array([1.0, 10.0, 100.0, 1000.0])
    curve = np.array([[0.1, 0.5, 0.3, 0.7], [0.1, 0.5, np.nan, 0.7]])
    found = labels_needed(labels, curve, np.array([0.5, 0.6]))
    np.testing.assert_allclose(found, [10, math.sqrt(100 * 1000)])


def test_labels_must_ascend() -> None:
    with pytest.raises(ValueError, match="must ascend"):
        labels_needed(np.array([2.0, 2.0]), np.ones((1, 2)), np.ones(1))


def test_an_interval_may_reach_beyond_the_curve() -> None:
    needed = np.array([50.0, *[40.0] * 40, *[60.0] * 50, *[math.inf] * 10])
    found = estimate_labels(needed, 10.0, 0.95)
    assert (found.value, found.low, found.high, found.at_most) == (50, 40, None, False)
    assert estimate_labels(np.full(20, 10.0), 10.0, 0.95).at_most
    lost = estimate_labels(np.full(20, math.inf), 10.0, 0.95)
    assert (lost.value, lost.low, lost.at_most) == (None, None, False)
