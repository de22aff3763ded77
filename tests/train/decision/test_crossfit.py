import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime import policy
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from train.decision import decide
from train.decision.crossfit import judge
from train.decision.decide import Limits
from train.errors import DatasetError

LABELS = ("crack", "good", "stain")


def drawn(count: int, seed: int, skill: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits, truth and halves."""
    random = np.random.default_rng(seed)
    truth = random.choice(3, count, p=[0.1, 0.8, 0.1])
    truth[:6] = [0, 1, 2, 0, 1, 2]
    logits = random.normal(0, 1.5, (count, 3)).astype(np.float32)
    logits[np.arange(count), truth] += skill
    parts = np.zeros(count, np.int64)
    parts[3:6] = 1
    parts[6:] = random.integers(0, 2, count - 6)
    return logits, truth, parts


def names(count: int) -> list[str]:
    return [str(i) for i in range(count)]


@given(seed=st.integers(0, 200), limit=st.floats(0, 0.5))
def test_answers_are_the_policys_at_the_limit_that_the_other_half_chose(
    seed: int, limit: float
) -> None:
    logits, truth, parts = drawn(80, seed)
    answers = judge(logits, truth, names(80), LABELS, ("good",), parts, limit)
    for part in (0, 1):
        inside = parts == part
        rule = decide.choose(
            logits[~inside],
            truth[~inside],
            LABELS,
            ("good",),
            Limits(false_positives=limit, reviews=0.0),
        )
        model = ModelSpec(labels=LABELS, input=InputSpec(), decision=rule, provenance={})
        shares = policy.probabilities(logits[inside], rule.temperature)
        expected = [LABELS.index(each.label or "") for each in policy.decide(shares, model)]
        assert answers.at_limit[inside].tolist() == expected


def test_what_a_part_holds_does_not_choose_its_own_thresholds() -> None:
    logits, truth, parts = drawn(200, 1)
    before = judge(logits, truth, names(200), LABELS, ("good",), parts, 0.03)
    other = truth.copy()
    other[parts == 1] = np.random.default_rng(5).permutation(truth[parts == 1])
    after = judge(logits, other, names(200), LABELS, ("good",), parts, 0.03)
    for answers in ("at_rule", "at_limit"):
        same = getattr(before, answers) == getattr(after, answers)
        assert same[parts == 1].all()
    # The control: the other half, whose thresholds those labels did choose, is answered otherwise.
    assert (before.at_rule != after.at_rule)[parts == 0].any()


def test_the_rule_costs_no_more_than_the_limit_where_it_was_chosen() -> None:
    logits, truth, parts = drawn(4000, 3)
    answers = judge(logits, truth, names(4000), LABELS, ("good",), parts, 0.03)
    good = truth == 1
    for answered in (answers.at_rule, answers.at_limit):
        assert (answered != 1)[good].mean() == pytest.approx(0.03, abs=0.015)
    reachable = judge(logits, truth, names(4000), LABELS, ("good",), parts, 1.0).reachable
    assert (reachable == answers.reachable).all()


def test_without_good_labels_the_likeliest_class_is_the_answer() -> None:
    logits, truth, parts = drawn(50, 2)
    answers = judge(logits, truth, names(50), LABELS, (), parts, 0.03)
    for answered in (answers.at_rule, answers.at_limit, answers.reachable):
        assert (answered == logits.argmax(axis=1)).all()


def test_a_part_whose_others_are_all_good_is_refused() -> None:
    logits, truth, parts = drawn(50, 2)
    with pytest.raises(DatasetError, match="all good or all defective"):
        judge(logits, np.where(parts == 1, 1, truth), names(50), LABELS, ("good",), parts, 0.03)


def test_scores_of_one_leave_no_threshold_within_the_limit_and_are_flagged() -> None:
    logits = np.tile(np.array([[9000.0, 0.0, 0.0]], np.float32), (8, 1))
    truth = np.array([0, 1, 2, 1] * 2)
    answers = judge(logits, truth, names(8), LABELS, ("good",), np.repeat([0, 1], 4), 0.0)
    assert (answers.at_rule == 0).all()
    rule = DecisionRule(ok_labels=("good",), thresholds=Thresholds(review_from=1, defect_from=1))
    model = ModelSpec(labels=LABELS, input=InputSpec(), decision=rule, provenance={})
    assert policy.decide(policy.probabilities(logits, 1.0), model)[0].label == "crack"
