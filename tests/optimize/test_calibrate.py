"""Observing activations and taking ranges from what was observed."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimize import quantize
from optimize.calibrate import (
    Method,
    Observation,
    choose_limits,
    choose_ranges,
    concerns,
    observe,
    thin,
)
from optimize.errors import CalibrationError
from optimize.graph import FloatModel
from tests.optimize.tiny_network import LABELS, Pixels


def histogram(values: np.ndarray) -> Observation:
    low, high = min(0.0, values.min()), max(0.0, values.max())
    counts, _ = np.histogram(values, bins=2048, range=(low, high))
    return Observation(low=low, high=high, counts=counts, means=np.zeros(1))


def test_extremes_and_counts_are_those_of_the_float_model(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    seen = observe(simplified.proto, ["clipped", "rectified"], images)
    floats = (np.stack(images).astype(np.float32) - 128) / 127.5
    clipped = np.clip(floats + 1, 0, 6)
    assert seen["clipped"].low == 0
    assert seen["clipped"].high == pytest.approx(clipped.max(), rel=1e-5)
    assert seen["clipped"].counts.sum() == clipped.size
    expected, _ = np.histogram(clipped, bins=2048, range=(0, seen["clipped"].high))
    # Values on a bin's edge may fall to either side.
    assert np.abs(np.cumsum(seen["clipped"].counts) - np.cumsum(expected)).max() < 300


def test_progress_hears_of_every_image_in_both_passes(
    simplified: FloatModel, images: list[Pixels]
) -> None:
    heard: list[int] = []
    observe(simplified.proto, ["clipped"], images, heard.append)
    assert sum(heard) == 2 * len(images)


def test_nothing_to_observe_is_refused(simplified: FloatModel) -> None:
    with pytest.raises(CalibrationError, match="no calibration image"):
        observe(simplified.proto, ["clipped"], [])


def test_minmax_keeps_the_outlier_that_the_other_methods_let_go() -> None:
    values = np.append(np.random.default_rng(1).normal(0, 1, 200_000), 60.0)
    ranges = {method: choose_ranges({"x": histogram(values)}, method)["x"] for method in Method}
    assert ranges[Method.MINMAX][1] == 60
    assert 3 < ranges[Method.PERCENTILE][1] < 5
    assert 3 < ranges[Method.ERROR][1] < 50


def test_what_starts_at_zero_keeps_its_zero() -> None:
    values = np.abs(np.random.default_rng(1).normal(0, 1, 10_000))
    for method in Method:
        assert choose_ranges({"x": histogram(values)}, method)["x"][0] == 0


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50),
    method=st.sampled_from(Method),
)
def test_every_range_is_ordered_holds_zero_and_stays_within_what_was_seen(
    values: list[float], method: Method
) -> None:
    seen = histogram(np.array(values)) if np.ptp([0, *values]) > 1e-3 else None
    if seen is None:
        seen = Observation(low=0.0, high=0.0, counts=np.zeros(2048, np.int64), means=np.zeros(1))
    low, high = choose_ranges({"x": seen}, method)["x"]
    assert seen.low <= low <= 0 <= high <= seen.high


def test_a_symmetric_limit_covers_the_further_end_unless_clipping_it_costs_less() -> None:
    values = np.append(np.random.default_rng(1).normal(0, 1, 200_000), -60.0)
    limits = {method: choose_limits({"x": histogram(values)}, method)["x"] for method in Method}
    assert limits[Method.MINMAX] == 60
    assert 3 < limits[Method.PERCENTILE] < 5
    assert 3 < limits[Method.ERROR] < 50


def test_a_symmetric_limit_of_the_least_error_weighs_127_steps_and_not_255() -> None:
    """Behind a ReLU half of the codes are idle, so more is worth clipping than with all of them."""
    seen = {"x": histogram(np.random.default_rng(1).exponential(1, 100_000))}
    symmetric = choose_limits(seen, Method.ERROR)["x"]
    assert symmetric < choose_ranges(seen, Method.ERROR)["x"][1]


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from("abcde"), st.integers(1, 60), min_size=1),
    most=st.integers(5, 80),
)
def test_thinning_keeps_the_number_asked_for_and_every_class(
    counts: dict[str, int], most: int
) -> None:
    labels = [label for label, count in counts.items() for _ in range(count)]
    kept = thin(labels, most)
    assert len(kept) == min(most, len(labels))
    assert all(before < after for before, after in pairwise(kept))
    shares = Counter(labels[index] for index in kept)
    assert set(shares) == set(counts)
    assert all(shares[label] == counts[label] for label in counts if counts[label] <= most // 5)


def test_few_images_one_class_and_absent_classes_are_each_a_concern() -> None:
    assert concerns(["red"] * 20 + ["green"] * 20 + ["blue"] * 20, LABELS) == ()
    assert "only 3 calibration images" in concerns(["red", "green", "blue"], LABELS)[0]
    assert "all calibration images are of one class (red)" in concerns(["red"] * 40, LABELS)[0]
    assert concerns(["red", "green"] * 20, LABELS) == ("no calibration image of blue",)


def test_what_int8_needs_to_know_is_asked_for_and_no_more(simplified: FloatModel) -> None:
    assert quantize.activations(simplified.proto) == ("planes", "clipped", "rectified")
