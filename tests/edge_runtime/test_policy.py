import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edge_runtime import policy
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.verdict import Outcome


def spec(labels: tuple[str, ...], ok: tuple[str, ...], review: float, defect: float) -> ModelSpec:
    return ModelSpec(
        labels=labels,
        input=InputSpec(),
        decision=DecisionRule(
            ok_labels=ok, thresholds=Thresholds(review_from=review, defect_from=defect)
        ),
        provenance={},
    )


SIX = spec(("good", "a", "b"), ("good",), 0.3, 0.5)


@pytest.mark.parametrize(
    ("row", "outcome", "label"),
    [
        ((0.80, 0.15, 0.05), Outcome.OK, "good"),
        ((0.60, 0.10, 0.30), Outcome.REVIEW, "b"),
        ((0.45, 0.35, 0.20), Outcome.DEFECT, "a"),
        ((0.00, 0.00, 1.00), Outcome.DEFECT, "b"),
    ],
)
def test_the_defect_score_decides_and_the_likeliest_class_of_that_kind_is_named(
    row: tuple[float, ...], outcome: Outcome, label: str
) -> None:
    (decision,) = policy.decide(np.array([row], np.float32), SIX)
    assert (decision.outcome, decision.label) == (outcome, label)
    assert decision.scores == pytest.approx(dict(zip(SIX.labels, row, strict=True)))
    assert (decision.reason is None) == (outcome is not Outcome.REVIEW)


def test_several_good_classes_add_up() -> None:
    model = spec(("new", "worn", "broken"), ("new", "worn"), 0.3, 0.5)
    (decision,) = policy.decide(np.array([[0.4, 0.45, 0.15]], np.float32), model)
    assert (decision.outcome, decision.label) == (Outcome.OK, "worn")


def test_without_a_good_class_every_part_is_a_defect() -> None:
    model = spec(("scratch", "pit"), (), 0.0, 0.0)
    (decision,) = policy.decide(np.array([[0.3, 0.7]], np.float32), model)
    assert decision.label == "pit"


@given(
    logits=arrays(np.float32, (4, 6), elements=st.floats(-50, 50, width=32)),
    temperature=st.floats(0.1, 10),
)
def test_probabilities_are_a_distribution_that_keeps_the_order(
    logits: np.ndarray, temperature: float
) -> None:
    rows = policy.probabilities(logits, temperature)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-5)
    assert (rows >= 0).all()
    best = rows[np.arange(4), logits.argmax(axis=1)]
    np.testing.assert_array_equal(best, rows.max(axis=1))


@given(
    row=st.lists(st.floats(0.01, 1), min_size=2, max_size=20),
    limits=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_a_verdict_never_gets_milder_as_the_score_rises(
    row: list[float], limits: tuple[float, float]
) -> None:
    labels = tuple(f"c{index}" for index in range(len(row)))
    model = spec(labels, labels[:1], min(limits), max(limits))
    shares = np.array(row, np.float32) / np.float32(sum(row))
    (decision,) = policy.decide(shares[None], model)
    score = float(policy.defect_scores(shares[None], model)[0])
    expected = (
        Outcome.DEFECT
        if score >= max(limits)
        else Outcome.REVIEW
        if score >= min(limits)
        else Outcome.OK
    )
    assert decision.outcome is expected
    assert (decision.label == "c0") == (expected is Outcome.OK)
