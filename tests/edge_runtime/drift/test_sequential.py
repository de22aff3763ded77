"""The sequential tests: false detections no more often than stated, and a control that must break it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, norm, poisson

from edge_runtime.drift.sequential import Evidence, Scatter, mean_steps, share_steps

MANY = 2000
"""Statistics side by side, each a run of its own."""


def detections(steps_of: object, blocks: int, every: float) -> int:
    """How often the evidence of MANY runs crossed ln(every); each starts anew after it."""
    evidence, found = Evidence(MANY, float(np.log(every))), 0
    for _ in range(blocks):
        evidence.add(steps_of())  # type: ignore[operator]
        crossed = evidence.detected().any(axis=0)
        found += int(crossed.sum())
        for index in np.flatnonzero(crossed):
            evidence.forget(int(index))
    return found


def at_most(found: int, expected: float) -> bool:
    """Whether so many detections go together with a mean of no more than `expected`."""
    return bool(poisson.sf(found - 1, expected) > 0.001)


@pytest.mark.parametrize("shift", [0.25, -0.25, 0.0])
def test_means_within_the_tolerance_are_detected_no_more_often_than_stated(shift: float) -> None:
    rng, one = np.random.default_rng(3), np.ones(MANY)

    def steps() -> np.ndarray:
        means = shift + rng.normal(0, 0.125, MANY)
        return mean_steps(means, 0.125**2 * one, 0.25 * one, 0.5 * one)

    found = detections(steps, blocks=500, every=500)
    # Two tests a statistic, each once in 500 blocks at most.
    assert at_most(found, 2 * MANY)
    assert shift == 0.0 or found > 0, "at the edge it does happen: the test is not merely asleep"


def test_the_control_outside_of_the_tolerance_is_detected_far_more_often() -> None:
    rng, one = np.random.default_rng(3), np.ones(MANY)

    def steps() -> np.ndarray:
        means = 0.45 + rng.normal(0, 0.125, MANY)
        return mean_steps(means, 0.125**2 * one, 0.25 * one, 0.5 * one)

    assert not at_most(detections(steps, blocks=500, every=500), 2 * MANY)


@pytest.mark.parametrize("share", [0.004, 0.08, 0.5])
def test_shares_within_the_tolerance_are_detected_no_more_often_than_stated(share: float) -> None:
    rng = np.random.default_rng(4)
    tolerated = np.full((2, MANY), share)
    sought = np.stack((np.full(MANY, min(0.9, 2 * share)), np.full(MANY, share / 2)))

    def steps() -> np.ndarray:
        return share_steps((rng.uniform(size=(64, MANY)) < share).astype(float), tolerated, sought)

    assert at_most(detections(steps, blocks=200, every=200), 2 * MANY)


@given(st.floats(0.01, 0.9), st.floats(0.01, 0.95), st.integers(0, 30))
def test_a_bet_on_a_share_is_its_likelihood_ratio(
    tolerated: float, sought: float, ones: int
) -> None:
    low, high = sorted((tolerated, sought))
    values = (np.arange(30) < ones).astype(float)[:, None]
    steps = share_steps(values, np.array([[low], [low]]), np.array([[high], [low]]))
    expected = binom.logpmf(ones, 30, high) - binom.logpmf(ones, 30, low)
    assert steps[0, 0] == pytest.approx(expected, abs=1e-6)


@given(st.floats(-2, 2), st.floats(0.01, 1))
def test_a_step_of_a_mean_is_its_likelihood_ratio(shift: float, deviation: float) -> None:
    one = np.ones(1)
    rise, fall = mean_steps(shift * one, deviation**2 * one, 0.2 * one, 0.5 * one)[:, 0]
    for seen, sign in ((rise, 1), (fall, -1)):
        expected = norm.logpdf(shift, sign * 0.5, deviation) - norm.logpdf(
            shift, sign * 0.2, deviation
        )
        assert seen == pytest.approx(expected, abs=1e-6)


def test_a_share_that_was_never_seen_can_only_rise() -> None:
    steps = share_steps(np.zeros((64, 1)), np.array([[0.01], [0.0]]), np.array([[0.05], [0.0]]))
    assert steps[0, 0] < 0
    assert steps[1, 0] == 0


def test_scatter_sees_what_blocks_share_and_not_slow_movement() -> None:
    rng, floor = np.random.default_rng(5), np.array([1 / 64])
    alike, slow = Scatter(floor), Scatter(floor)
    for number in range(600):
        noise = rng.normal(0, 1, 1)
        alike.add(0.4 * noise)
        slow.add(0.125 * noise + 3 * np.sin(number / 200))
    assert alike.variance[0] == pytest.approx(0.16, rel=0.4)
    assert slow.variance[0] == pytest.approx(1 / 64, rel=0.4)


def test_evidence_starts_anew_and_knows_since_when() -> None:
    evidence = Evidence(1, 5.0)
    for increment in (-1.0, -1.0, 2.0, 1.0, 2.5):
        evidence.add(np.array([[increment], [-1.0]]))
    assert evidence.log[0, 0] == 5.5
    assert evidence.steps[0, 0] == 3
    assert evidence.detected()[:, 0].tolist() == [True, False]
    evidence.forget(0)
    assert not evidence.detected().any()
