import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from train.figures.counts import confusion, confusion_table, macro_f1, measure, reachable_f1

answers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60).map(
    lambda rows: np.array(rows, np.int64)
)


def spec(*ok_labels: str) -> ModelSpec:
    return ModelSpec(
        labels=("crack", "good", "stain"),
        input=InputSpec(),
        decision=DecisionRule(
            ok_labels=ok_labels,
            thresholds=Thresholds(review_from=0.3, defect_from=0.6)
            if ok_labels
            else Thresholds(review_from=0, defect_from=0),
        ),
        provenance={},
    )


def logits(*rows: tuple[float, float, float]) -> np.ndarray:
    return np.log(np.array(rows, np.float32))


@given(pairs=answers)
def test_figures_agree_with_scikit_learn(pairs: np.ndarray) -> None:
    truth, given_answers = pairs.T
    counts = confusion(truth, given_answers, 5)
    np.testing.assert_array_equal(counts, confusion_matrix(truth, given_answers, labels=range(5)))
    expected = f1_score(truth, given_answers, average="macro", zero_division=0)
    assert macro_f1(counts) == pytest.approx(expected)


def test_review_counts_as_found_and_not_as_a_false_positive() -> None:
    rows = logits(
        (0.1, 0.8, 0.1), (0.3, 0.6, 0.1), (0.1, 0.1, 0.8), (0.25, 0.6, 0.15), (0.1, 0.85, 0.05)
    )
    truth = np.array([1, 1, 1, 2, 0])
    found = measure(rows, truth, spec("good"))
    assert found.images == 5
    assert found.false_positive_rate == pytest.approx(1 / 3)
    assert found.defect_recall == pytest.approx(1 / 2)
    assert found.review_rate == pytest.approx(2 / 5)
    assert found.recall == {"crack": 0.0, "good": pytest.approx(1 / 3), "stain": 0.0}
    assert found.confusion == ((0, 1, 0), (1, 1, 1), (1, 0, 0))


def test_without_ok_labels_only_the_class_counts() -> None:
    found = measure(logits((0.1, 0.8, 0.1), (0.7, 0.2, 0.1)), np.array([1, 0]), spec())
    assert (found.macro_f1, found.defect_recall, found.false_positive_rate) == (1.0, None, None)


def test_what_was_not_seen_has_no_figure() -> None:
    found = measure(logits((0.1, 0.8, 0.1)), np.array([1]), spec("good"))
    assert found.defect_recall is None
    assert found.recall["crack"] is None
    assert "defect recall -" in found.summary()


def test_one_good_part_that_looks_defective_does_not_hide_a_good_ranking() -> None:
    rows = logits(
        *[(0.05, 0.9, 0.05)] * 50, (0.98, 0.01, 0.01), *[(0.85, 0.1, 0.05)] * 9, (0.1, 0.1, 0.8)
    )
    truth = np.array([1] * 51 + [0] * 9 + [2])
    strict = spec("good").decision.model_copy(
        update={"thresholds": Thresholds(review_from=0.999, defect_from=0.999)}
    )
    model = spec("good").model_copy(update={"decision": strict})
    assert measure(rows, truth, model).macro_f1 < 0.4
    assert reachable_f1(rows, truth, model) > 0.95


@given(pairs=answers)
def test_what_is_reachable_is_at_least_what_one_threshold_gives(pairs: np.ndarray) -> None:
    truth = pairs[:, 0] % 3
    rows = np.random.default_rng(len(pairs)).normal(size=(len(pairs), 3)).astype(np.float32)
    for model in (spec("good"), spec()):
        reachable = reachable_f1(rows, truth, model)
        everything = spec("good").decision.model_copy(
            update={"thresholds": Thresholds(review_from=0, defect_from=0)}
        )
        flagged = (
            model
            if not model.decision.ok_labels
            else (model.model_copy(update={"decision": everything}))
        )
        assert reachable >= measure(rows, truth, flagged).macro_f1 - 1e-9
        assert 0 <= reachable <= 1


def test_the_table_shows_truth_in_rows() -> None:
    found = measure(logits((0.1, 0.8, 0.1), (0.1, 0.8, 0.1)), np.array([1, 2]), spec("good"))
    lines = confusion_table(found.confusion, spec().labels).splitlines()
    assert lines[0].split() == ["truth", "crack", "good", "stain", "recall"]
    assert lines[3].split() == ["stain", "0", "1", "0", "0.000"]
