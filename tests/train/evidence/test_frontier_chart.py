"""The picture that a threshold is chosen by."""

import re

import numpy as np
import pytest

from edge_runtime.contracts.manifest import Thresholds
from train.decision.decide import Requirement
from train.decision.frontier import Frontier, Scored, trace
from train.evidence.frontier_chart import frontier_chart


def frontier(count: int) -> Frontier:
    random = np.random.default_rng(1)
    good = np.arange(count) % 4 > 0
    scores = 1 / (1 + np.exp(random.normal(np.where(good, 3.0, -2.0), 1.5)))
    kinds = np.where(good, 0, 1)
    return trace(
        Scored(
            scores=scores,
            truth=kinds,
            if_ok=np.zeros(count, np.int64),
            if_flagged=np.ones(count, np.int64),
            is_good=good,
            groups=tuple(f"g{at // 2}" for at in range(count)),
        ),
        0.95,
    )


def texts(drawn: str) -> str:
    return " ".join(re.findall(r">([^<>]+)</text>", drawn))


def test_the_band_for_review_and_both_bounds_are_named() -> None:
    band = Thresholds(review_from=0.25, defect_from=0.75)
    seen = texts(frontier_chart(frontier(400), Requirement(), band))
    for words in (
        "review from 0.2500, defect from 0.7500",
        "bound, 95% sure",
        "at least 85.0% asked",
        "at most 3.0% asked",
        "100 images of 100 groups",
        "300 images of 200 groups",
    ):
        assert words in seen


def test_that_no_thresholds_keep_the_bounds_is_said() -> None:
    assert "no thresholds keep the bounds" in texts(
        frontier_chart(frontier(400), Requirement(), None)
    )


def test_without_a_requirement_no_bound_and_no_limit_is_drawn() -> None:
    one = Thresholds(review_from=0.5, defect_from=0.5)
    seen = texts(frontier_chart(frontier(400), None, one))
    assert "defect from 0.5000" in seen
    assert not re.search("asked|sure", seen)


@pytest.mark.parametrize("count", [400, 8000])
def test_a_large_validation_set_does_not_make_a_large_picture(count: int) -> None:
    chart = frontier_chart(frontier(count), Requirement(), None)
    assert len(chart) < 100_000
