import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from train.figures import counts
from train.figures.resamples import (
    DEFECT_RECALL,
    FALSE_POSITIVES,
    MACRO_F1,
    REACHABLE,
    confusions,
    draw_groups,
    estimate,
    figures,
    mean_over_seeds,
)

LABELS = ("crack", "good", "stain")


def answered(count: int, seed: int, right: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, count)
    answers = np.where(random.random(count) < right, truth, random.integers(0, 3, count))
    return truth, answers


@given(count=st.integers(1, 40), seed=st.integers(0, 500))
def test_each_draw_counts_its_groups_as_often_as_it_drew_them(count: int, seed: int) -> None:
    truth, answers = answered(count, seed)
    members = np.unique(np.arange(count) // 3, return_inverse=True)[1]
    draws = draw_groups(members.max() + 1, 5, seed)
    found = confusions(draws, members, truth, answers, 3)
    for draw, matrix in zip(draws, found, strict=True):
        times = draw[members].astype(int)
        expected = counts.confusion(np.repeat(truth, times), np.repeat(answers, times), 3)
        np.testing.assert_array_equal(matrix, expected)
        assert counts.macro_f1s(matrix[None])[0] == pytest.approx(counts.macro_f1(expected))
    assert (draws[0] == 1).all()
    assert (draws.sum(axis=1) == draws.shape[1]).all()


def test_the_first_row_holds_the_figures_of_an_evaluation() -> None:
    random = np.random.default_rng(4)
    truth = random.integers(0, 3, 200)
    logits = random.normal(0, 1, (200, 3)).astype(np.float32)
    logits[np.arange(200), truth] += 1
    rule = DecisionRule(
        ok_labels=("good",), thresholds=Thresholds(review_from=0.6, defect_from=0.6)
    )
    model = ModelSpec(labels=LABELS, input=InputSpec(), decision=rule, provenance={})
    metrics = counts.measure(logits, truth, model)
    matrix = np.array(metrics.confusion, np.float64)[None]
    found = figures(matrix, matrix, matrix, LABELS, ("good",))
    assert found[MACRO_F1][0] == pytest.approx(metrics.macro_f1)
    assert found[DEFECT_RECALL][0] == pytest.approx(metrics.defect_recall)
    assert found[FALSE_POSITIVES][0] == pytest.approx(metrics.false_positive_rate)
    assert [found[f"recall {label}"][0] for label in LABELS] == pytest.approx(
        list(metrics.recall.values())
    )


def test_without_good_labels_there_are_no_defects_to_find() -> None:
    matrix = np.ones((1, 3, 3))
    assert not {DEFECT_RECALL, FALSE_POSITIVES} & figures(matrix, matrix, matrix, LABELS, ()).keys()


def test_a_figure_that_is_undefined_has_no_value_and_one_that_mostly_is_no_interval() -> None:
    matrix = np.zeros((4, 3, 3))
    matrix[:, 1, 1] = 5
    matrix[1, 0, 0] = 2
    found = figures(matrix, matrix, matrix, LABELS, ("good",))
    assert estimate(found["recall crack"], 0.95).value is None
    mostly = estimate(np.array([0.5, 0.4, np.nan, np.nan]), 0.95)
    assert (mostly.value, mostly.low, mostly.high) == (0.5, None, None)
    assert str(mostly) == "0.500 (- .. -)"


def test_seeds_are_averaged_draw_by_draw() -> None:
    mean = mean_over_seeds(
        [{"x": np.array([1.0, 2.0, np.nan])}, {"x": np.array([3.0, np.nan, np.nan])}]
    )
    np.testing.assert_array_equal(mean["x"], [2.0, 2.0, np.nan])


def recalls(hits: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Recall of class 0 over the draws, where all images are of it and each is its own group."""
    zeros = np.zeros(len(hits), np.int64)
    matrix = confusions(draws, np.arange(len(hits)), zeros, np.where(hits, 0, 1), 3)
    return figures(matrix, matrix, matrix, LABELS, ("good",))["recall crack"]


def test_the_interval_of_a_paired_difference_has_the_closed_forms_width() -> None:
    random = np.random.default_rng(8)
    first = random.random(600) < 0.7
    second = np.where(random.random(600) < 0.9, first, random.random(600) < 0.9)
    draws = draw_groups(600, 4000, 1)
    paired = estimate(recalls(second, draws) - recalls(first, draws), 0.95)
    each = second.astype(float) - first
    assert paired.value == pytest.approx(each.mean())
    assert paired.high - paired.low == pytest.approx(2 * 1.96 * each.std() / np.sqrt(600), rel=0.06)
    # The control: with draws of their own the two do not share what they have in common.
    apart = estimate(recalls(second, draws) - recalls(first, draw_groups(600, 4000, 2)), 0.95)
    assert apart.high - apart.low > 1.5 * (paired.high - paired.low)


def rates(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """How often two arms are right in each of so many groups, of which each has its own difficulty."""
    hard = random.beta(1.2, 0.8, count)
    return hard, np.clip(hard + random.normal(0.1, 0.2, count), 0, 1)


def coverage(*, by_group: bool) -> float:
    """How often the interval of a difference holds the truth, over 250 samples of 60 groups of 8."""
    first, second = rates(200_000, np.random.default_rng(0))
    truth = float(np.mean(second - first))
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), 8) if by_group else np.arange(480)
    held = 0
    for sample in range(250):
        draws = draw_groups(int(groups.max()) + 1, 200, sample)
        drawn = []
        for rate in rates(60, random):
            wrong = (random.random(480) >= np.repeat(rate, 8)).astype(np.int64)
            matrix = confusions(draws, groups, np.zeros_like(wrong), wrong, 2)
            drawn.append(matrix[:, 0, 0] / matrix[:, 0].sum(axis=1))
        found = estimate(drawn[1] - drawn[0], 0.95)
        held += found.low <= truth <= found.high
    return held / 250


def test_the_interval_of_a_difference_holds_where_groups_repeat() -> None:
    assert 0.91 <= coverage(by_group=True) <= 0.99


def test_control_drawing_images_fails_there() -> None:
    assert coverage(by_group=False) < 0.88


def test_reachable_and_rule_are_read_from_their_own_answers() -> None:
    good, bad = np.eye(3)[None] * 4, np.ones((1, 3, 3))
    found = figures(bad, bad, good, LABELS, ("good",))
    assert found[REACHABLE][0] == 1
    assert found[MACRO_F1][0] == pytest.approx(1 / 3)
