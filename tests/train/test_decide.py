import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import policy
from train.decide import LIMITS, Limits, choose, choose_thresholds, fit_temperature

LABELS = ("crack", "good", "stain")
scores = st.lists(st.floats(0, 0.9990234375, width=32), min_size=1, max_size=80).map(
    lambda values: np.array(values, np.float32).astype(np.float64)
)
limits = st.builds(Limits, false_positives=st.floats(0, 0.5), reviews=st.floats(0, 0.4))


@given(good=scores, defective=scores, limits=limits)
def test_limits_hold_and_no_score_allows_a_lower_threshold(
    good: np.ndarray, defective: np.ndarray, limits: Limits
) -> None:
    found = choose_thresholds(good, defective, limits)
    flagged = int((good >= found.defect_from).sum())
    seen = int((good >= found.review_from).sum())
    assert flagged <= limits.false_positives * len(good) + 1e-9
    assert seen <= (limits.false_positives + limits.reviews) * len(good) + 1e-9
    missed = defective[defective < found.defect_from]
    if len(missed):
        lower = float(missed.max())
        assert (good >= lower).sum() > np.floor(limits.false_positives * len(good))


@given(good=scores, defective=scores, limits=limits)
def test_a_review_band_exists_only_where_it_finds_defects(
    good: np.ndarray, defective: np.ndarray, limits: Limits
) -> None:
    found = choose_thresholds(good, defective, limits)
    assert 0 <= found.review_from <= found.defect_from <= 1
    if found.review_from < found.defect_from:
        assert ((defective >= found.review_from) & (defective < found.defect_from)).any()


def test_thresholds_lie_midway_between_scores() -> None:
    good = np.array([0.1] * 97 + [0.2, 0.3, 0.5])
    defective = np.array([0.9, 0.4, 0.25, 0.05])
    found = choose_thresholds(good, defective, LIMITS)
    assert found.defect_from == pytest.approx(0.35)
    assert found.review_from == pytest.approx(0.225)


def test_a_good_part_with_the_highest_score_cannot_be_cleared() -> None:
    found = choose_thresholds(np.ones(1), np.ones(1), LIMITS)
    assert found.defect_from == 1.0


def test_thresholds_without_good_parts_or_without_defects_are_a_fault() -> None:
    with pytest.raises(ValueError, match="good and of defective"):
        choose_thresholds(np.ones(0), np.ones(1), LIMITS)


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_made_the_labels_is_found_again(temperature: float) -> None:
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (20_000, 3)).astype(np.float32)
    shares = policy.probabilities(logits, temperature)
    truth = (shares.cumsum(axis=1) < random.random((len(logits), 1))).sum(axis=1)
    assert fit_temperature(logits, truth) == pytest.approx(temperature, rel=0.1)


def test_classes_count_alike_in_the_temperature() -> None:
    sure, unsure = [4.0, 0.0], [0.5, 0.0]
    few = fit_temperature(np.array([sure, unsure], np.float32), np.array([0, 1]))
    many = fit_temperature(np.array([sure] * 50 + [unsure], np.float32), np.array([0] * 50 + [1]))
    assert many == pytest.approx(few, rel=1e-6)


def test_the_rule_is_what_the_policy_applies() -> None:
    random = np.random.default_rng(2)
    truth = np.array([1] * 200 + [0] * 20 + [2] * 20)
    logits = random.normal(0, 1, (240, 3)).astype(np.float32)
    logits[np.arange(240), truth] += 4
    rule = choose(logits, truth, LABELS, ("good",), LIMITS)
    assert rule.ok_labels == ("good",)
    assert 0 < rule.thresholds.review_from <= rule.thresholds.defect_from < 1
    assert rule.temperature < 2


def test_without_ok_labels_everything_is_a_defect() -> None:
    rule = choose(np.eye(3, dtype=np.float32), np.arange(3), LABELS, (), LIMITS)
    assert (rule.thresholds.review_from, rule.thresholds.defect_from) == (0, 0)
