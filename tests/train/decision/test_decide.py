import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import policy
from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.errors import UsageError
from train.decision.decide import (
    LIMITS,
    Limits,
    Requirement,
    Shortfall,
    choose,
    choose_thresholds,
    choose_within,
    fit_temperature,
)
from train.decision.frontier import Scored, trace

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


def parts_of(good: np.ndarray, defective: np.ndarray, per_group: int = 1) -> Scored:
    """Parts of two classes, `good` first; the groups hold `per_group` parts each."""
    scores = np.concatenate([good, defective])
    is_good = np.arange(len(scores)) < len(good)
    return Scored(
        scores=scores,
        truth=np.where(is_good, 0, 1),
        if_ok=np.zeros(len(scores), np.int64),
        if_flagged=np.ones(len(scores), np.int64),
        is_good=is_good,
        groups=tuple(str(i // per_group) for i in range(len(scores))),
    )


def within(parts: Scored, requirement: Requirement) -> Thresholds | Shortfall:
    return choose_within(trace(parts, requirement.confidence), requirement)


ASKED = Requirement()


def test_parts_that_are_told_apart_get_one_threshold_and_no_review() -> None:
    found = within(parts_of(np.full(200, 0.1), np.full(40, 0.9)), ASKED)
    assert isinstance(found, Thresholds)
    assert found.review_from == found.defect_from == pytest.approx(0.5)


def test_among_the_thresholds_allowed_macro_f1_decides() -> None:
    good = np.concatenate([np.full(990, 0.1), np.full(10, 0.6)])
    defective = np.concatenate([np.full(95, 0.9), np.full(5, 0.05)])
    found = within(parts_of(good, defective), ASKED)
    assert isinstance(found, Thresholds)
    assert found.defect_from == pytest.approx(0.75)  # 0.35 keeps both bounds too


def test_what_neither_bound_clears_is_for_review() -> None:
    good = np.concatenate([np.full(960, 0.1), np.full(10, 0.5), np.full(30, 0.9)])
    defective = np.concatenate([np.full(88, 0.95), np.full(12, 0.5)])
    found = within(parts_of(good, defective), Requirement(max_false_positives=0.045))
    assert isinstance(found, Thresholds)
    assert found.review_from == pytest.approx(0.3)
    assert found.defect_from == pytest.approx(0.7)
    refused = within(
        parts_of(good, defective), Requirement(max_false_positives=0.045, max_reviews=0.01)
    )
    assert isinstance(refused, Shortfall)
    assert "--max-reviews 0.01" in refused.reason


def test_perfect_answers_on_too_few_parts_do_not_do() -> None:
    # With none missed, 0.85 needs 19 defects (0.85 ** 19 < 0.05); with none wrong, 3 % needs 99 goods.
    few = within(parts_of(np.full(200, 0.1), np.full(18, 0.9)), ASKED)
    assert isinstance(few, Shortfall)
    assert (few.more_defective, few.more_good) == (1, 0)
    assert "too few labelled defects" in few.reason
    assert isinstance(within(parts_of(np.full(200, 0.1), np.full(19, 0.9)), ASKED), Thresholds)
    few = within(parts_of(np.full(90, 0.1), np.full(30, 0.9)), ASKED)
    assert isinstance(few, Shortfall)
    assert (few.more_defective, few.more_good) == (0, 9)
    in_pairs = within(parts_of(np.full(200, 0.1), np.full(30, 0.9), per_group=2), ASKED)
    assert isinstance(in_pairs, Shortfall)
    assert in_pairs.more_defective == 7  # 37 images are worth 18.75 pairs, and 18.43 are needed


def test_where_labels_do_not_help_none_are_asked_for() -> None:
    random = np.random.default_rng(4)
    found = within(parts_of(random.random(300), random.random(300)), ASKED)
    assert isinstance(found, Shortfall)
    assert (found.nearest, found.more_defective, found.more_good) == (None, 0, 0)


def test_the_chosen_rule_keeps_its_promise_on_parts_it_never_saw() -> None:
    """500 validation sets of groups of three; the truth is known, so each choice can be judged."""
    random = np.random.default_rng(5)

    def scores(shift: float, count: int) -> np.ndarray:
        odds = np.repeat(random.normal(shift, 1, count // 3), 3) + random.normal(0, 0.5, count)
        return np.asarray(1 / (1 + np.exp(-odds)))

    good_line, bad_line = np.sort(scores(-1.2, 300_000)), np.sort(scores(1.2, 300_000))
    asked = Requirement(min_recall=0.8, max_false_positives=0.2, max_reviews=1.0)
    chosen, escaped, scrapped = 0, 0, 0
    for _ in range(500):
        found = within(parts_of(scores(-1.2, 450), scores(1.2, 240), per_group=3), asked)
        if isinstance(found, Shortfall):
            continue
        chosen += 1
        escaped += np.searchsorted(bad_line, found.review_from) / 300_000 > 0.2
        scrapped += 1 - np.searchsorted(good_line, found.defect_from) / 300_000 > 0.2
    assert chosen > 400
    assert max(escaped, scrapped) / chosen <= 0.05


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ({"min_recall": 1.1}, "--min-recall 1.1"),
        ({"max_false_positives": -0.1}, "--max-false-positives -0.1"),
        ({"max_reviews": float("nan")}, "--max-reviews nan"),
        ({"confidence": 1.0}, "--confidence 1.0"),
    ],
)
def test_a_requirement_that_cannot_be_is_refused(setting: dict[str, float], expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        Requirement(**setting)
