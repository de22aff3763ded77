"""Taking ranges from what was observed, by every method, with a zero point and without."""

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization.calibrate import HistogramCollector

from optimize.calibration.observation import Observation
from optimize.calibration.ranges import Method, choose_ranges, choose_symmetric

ALL_ZERO = Observation(low=0.0, high=0.0, counts=np.zeros(2048, np.int64), means=np.zeros(1))


def histogram(values: np.ndarray) -> Observation:
    low, high = min(0.0, values.min()), max(0.0, values.max())
    counts, _ = np.histogram(values, bins=2048, range=(low, high))
    return Observation(low=low, high=high, counts=counts, means=np.zeros(1))


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
    seen = histogram(np.array(values)) if np.ptp([0, *values]) > 1e-3 else ALL_ZERO
    low, high = choose_ranges({"x": seen}, method)["x"]
    assert seen.low <= low <= 0 <= high <= seen.high


EDGES = np.linspace(-10, 10, 1025, dtype=np.float32)
CENTRES = (EDGES[1:] + EDGES[:-1]) / 2
SHAPES: Mapping[str, np.ndarray] = {
    "gaussian": np.exp(-(CENTRES**2) / 2),
    "wide gaussian": np.exp(-(CENTRES**2) / 8),
    "laplace": np.exp(-np.abs(CENTRES)),
    "gaussian on a floor of outliers": np.exp(-(CENTRES**2) / 2) + 1e-5,
    "heavy tails": 1 / (1 + CENTRES**2 / 3) ** 2,
}


def of_shape(shape: str) -> Observation:
    """A hundred million values of that density between -10 and 10."""
    density = SHAPES[shape]
    counts = np.round(1e8 * density / density.sum()).astype(np.int64)
    return Observation(low=-10.0, high=10.0, counts=counts, means=np.zeros(1))


def by_onnxruntime(seen: Observation, method: str) -> tuple[float, float]:
    """The range that ONNX Runtime's own calibrator takes from the same histogram."""
    # It is told what to cut from both sides together, 0.02 %.
    collector = HistogramCollector(method, False, len(seen.counts), 255, 99.98, None)
    extremes = np.float32([seen.low, seen.high, seen.high])
    collector.histogram_dict = {"x": (seen.counts, EDGES, *extremes)}
    low, high, *_ = collector.compute_collection_result()["x"]
    return float(low), float(high)


@pytest.mark.parametrize("shape", SHAPES)
def test_symmetric_entropy_takes_what_onnxruntime_takes(shape: str) -> None:
    """Theirs truncates to whole counts and gives what is left of a division to the last code."""
    seen = of_shape(shape)
    _, theirs = by_onnxruntime(seen, "entropy")
    assert choose_symmetric({"x": seen}, Method.ENTROPY)["x"] == pytest.approx(theirs, rel=0.15)


def test_symmetric_entropy_clips_where_the_tails_are_thin_and_not_where_they_are_heavy() -> None:
    """The control of the one above: all shapes are seen up to 10."""
    observations = {shape: of_shape(shape) for shape in SHAPES}
    chosen = choose_symmetric(observations, Method.ENTROPY)
    assert chosen["gaussian"] < 6
    assert chosen["heavy tails"] == 10


@pytest.mark.parametrize("shape", SHAPES)
def test_percentiles_are_those_of_onnxruntime_to_a_bin(shape: str) -> None:
    seen = of_shape(shape)
    ours = choose_ranges({"x": seen}, Method.PERCENTILE)["x"]
    assert ours == pytest.approx(by_onnxruntime(seen, "percentile"), abs=seen.width)


def test_entropy_lets_zeros_of_a_relu_out_of_account() -> None:
    values = np.abs(np.random.default_rng(1).normal(0, 1, 100_000))
    half_zero = np.append(values, np.zeros(1_000_000))
    low, high = choose_ranges({"x": histogram(half_zero)}, Method.ENTROPY)["x"]
    assert (low, high) == choose_ranges({"x": histogram(values)}, Method.ENTROPY)["x"]
    assert high > 3


def test_entropy_moves_both_ends_on_their_own() -> None:
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(0, 1, 400_000), rng.uniform(0, 60, 40), [-6.0, 60.0]])
    low, high = choose_ranges({"x": histogram(values)}, Method.ENTROPY)["x"]
    assert -6 <= low < -3
    assert 3 < high < 30


def test_a_symmetric_range_is_the_larger_of_both_sides() -> None:
    values = np.concatenate([np.random.default_rng(1).normal(0, 1, 1000), [-9.0, 5.0]])
    observations = {"x": histogram(values), "always zero": histogram(np.zeros(3))}
    assert choose_symmetric(observations, Method.MINMAX) == {"x": 9.0, "always zero": 0.0}


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=50),
    method=st.sampled_from(Method),
)
def test_a_symmetric_range_stays_within_what_was_seen(values: list[float], method: Method) -> None:
    seen = histogram(np.array(values)) if np.ptp([0, *values]) > 1e-3 else ALL_ZERO
    top = choose_symmetric({"x": seen}, method)["x"]
    assert 0 <= top <= max(-seen.low, seen.high)


def test_signs_do_not_matter_to_a_symmetric_range() -> None:
    values = np.random.default_rng(1).gamma(2.0, 1.0, 100_000)
    for method in Method:
        up, down = (choose_symmetric({"x": histogram(v)}, method)["x"] for v in (values, -values))
        assert up == pytest.approx(down, rel=0.01)
