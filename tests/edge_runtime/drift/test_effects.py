"""Effect sizes against scipy, which the runtime does without."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy, wasserstein_distance

from edge_runtime.drift.effects import cohens_h, psi, shifted_by_h, wasserstein

BINS = 12
COUNTS = st.lists(st.integers(0, 400), min_size=BINS, max_size=BINS).filter(any).map(np.array)
EDGES = st.lists(st.floats(0.01, 5), min_size=BINS + 1, max_size=BINS + 1).map(np.cumsum)
SHARE = st.floats(0, 1)


@given(COUNTS, COUNTS)
def test_psi_is_the_divergence_both_ways_that_scipy_computes(
    before: np.ndarray, after: np.ndarray
) -> None:
    total = after.sum()
    expected = before / before.sum() * total + 0.5
    seen = after + 0.5
    assert psi(before / before.sum(), after.astype(float)) == pytest.approx(
        entropy(seen, expected) + entropy(expected, seen), abs=1e-9
    )


@given(EDGES, COUNTS, COUNTS)
def test_wasserstein_is_scipys_distance_of_the_spread_out_bins(
    edges: np.ndarray, before: np.ndarray, after: np.ndarray
) -> None:
    fine = 200
    steps = (np.arange(fine) + 0.5) / fine
    points = (edges[:-1, None] + np.diff(edges)[:, None] * steps).ravel()
    expected = wasserstein_distance(points, points, before.repeat(fine), after.repeat(fine))
    seen = wasserstein(edges, before / before.sum(), after.astype(float))
    assert seen == pytest.approx(expected, abs=0.01 * (edges[-1] - edges[0]))


@given(COUNTS)
def test_nothing_apart_is_nothing(counts: np.ndarray) -> None:
    shares = counts / counts.sum()
    assert psi(shares, counts.astype(float)) == pytest.approx(0, abs=1e-9)
    assert wasserstein(np.arange(BINS + 1.0), shares, counts.astype(float)) == pytest.approx(0)


def test_nothing_counted_is_nothing_apart() -> None:
    shares = np.full(4, 0.25)
    assert psi(shares, np.zeros(4)) == wasserstein(np.arange(5.0), shares, np.zeros(4)) == 0


def test_an_empty_bin_is_no_infinity() -> None:
    assert 1 < psi(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.0, 100.0])) < 20


@given(SHARE, st.floats(-3, 3))
def test_a_share_moved_by_h_is_h_away_unless_it_meets_an_end(share: float, h: float) -> None:
    moved = shifted_by_h(np.array(share), np.array(h))
    assert 0 <= moved <= 1
    if 1e-9 < moved < 1 - 1e-9:
        assert cohens_h(moved, np.array(share)) == pytest.approx(h, abs=1e-6)
