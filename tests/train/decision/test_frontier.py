import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.manifest import InputSpec, ModelSpec, Thresholds
from train.decision.decide import flag_all, score
from train.decision.frontier import between, sample, trace
from train.figures.counts import measure

LABELS = ("crack", "good", "stain")


@given(seed=st.integers(0, 999), count=st.integers(6, 60), sharp=st.sampled_from([0.5, 3.0]))
def test_every_point_says_what_the_policy_would_do(seed: int, count: int, sharp: float) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([[0, 1, 2], random.integers(0, 3, count)])
    logits = random.integers(-2, 3, (len(truth), 3)).astype(np.float32)
    logits[np.arange(len(truth)), truth] += sharp
    groups = [str(i // 2) for i in range(len(truth))]
    rule = flag_all(1.3, ("good",))
    frontier = trace(score(logits, truth, groups, LABELS, rule), 0.95)
    for at, threshold in enumerate(frontier.thresholds.tolist()):
        decision = rule.model_copy(
            update={"thresholds": Thresholds(review_from=threshold, defect_from=threshold)}
        )
        model = ModelSpec(labels=LABELS, input=InputSpec(), decision=decision, provenance={})
        found = measure(logits, truth, model)
        assert frontier.macro_f1[at] == pytest.approx(found.macro_f1)
        assert frontier.defective.share(frontier.found[at]) == pytest.approx(found.defect_recall)
        assert frontier.good.share(frontier.false_positives[at]) == pytest.approx(
            found.false_positive_rate
        )


@given(seed=st.integers(0, 999))
def test_bounds_are_monotone_along_the_threshold(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.concatenate([[0, 1], random.integers(0, 3, 50)])
    logits = random.normal(size=(52, 3)).astype(np.float32)
    groups = random.integers(0, 20, 52).astype(str).tolist()
    frontier = trace(score(logits, truth, groups, LABELS, flag_all(1.0, ("good",))), 0.9)
    assert (np.diff(frontier.recall_bound) <= 1e-12).all()
    assert (np.diff(frontier.false_positive_bound) <= 1e-12).all()
    assert (frontier.recall_bound <= frontier.defective.share(frontier.found) + 1e-12).all()


def test_thresholds_lie_between_the_scores_and_beyond_them() -> None:
    assert between(np.array([0.2, 0.4])).tolist() == pytest.approx([0.0, 0.3, 0.7])
    assert between(np.array([0.5, 1.0])).tolist() == [0.0, 0.75, 1.0]


def test_one_kind_of_parts_makes_no_frontier() -> None:
    parts = score(
        np.eye(3, dtype=np.float32), np.ones(3, int), "abc", LABELS, flag_all(1, ("good",))
    )
    with pytest.raises(ValueError, match="good and defective"):
        trace(parts, 0.95)


def test_a_table_keeps_its_ends_and_what_it_is_told_to() -> None:
    random = np.random.default_rng(1)
    truth = random.integers(0, 3, 500)
    logits = random.normal(size=(500, 3)).astype(np.float32)
    groups = [str(i) for i in range(500)]
    frontier = trace(score(logits, truth, groups, LABELS, flag_all(1.0, ("good",))), 0.95)
    rows = sample(frontier, 10, [123])
    assert len(rows) <= 11
    assert {0, 123, len(frontier.thresholds) - 1} <= set(rows)
