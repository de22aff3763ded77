import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.errors import UsageError
from train.evidence.cost import Volume, costs
from train.figures.counts import measure
from train.figures.intervals import Figure, figures
from train.figures.reliability import calibration_error

LABELS = ("crack", "good", "stain")
MODEL = ModelSpec(
    labels=LABELS,
    input=InputSpec(),
    decision=DecisionRule(
        ok_labels=("good",), thresholds=Thresholds(review_from=0.5, defect_from=0.7)
    ),
    provenance={},
)


def answers(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.integers(0, 3, count)
    logits = random.normal(0, 1.5, (count, 3)).astype(np.float32)
    logits[np.arange(count), truth] += 2
    return logits, truth


def by_name(found: tuple[Figure, ...]) -> dict[str, Figure]:
    return {figure.name: figure for figure in found}


def test_values_are_those_of_the_evaluation_and_of_scikit_learn() -> None:
    logits, truth = answers(300)
    groups = [str(i) for i in range(300)]
    found = by_name(figures(logits, truth, groups, MODEL, resamples=100))
    counted = measure(logits, truth, MODEL)
    given_answers = np.concatenate(
        [np.repeat(np.arange(3), row) for row in np.array(counted.confusion)]
    )
    true = np.repeat(np.arange(3), np.array(counted.confusion).sum(axis=1))
    precisions = precision_score(true, given_answers, average=None)
    recalls = recall_score(true, given_answers, average=None)
    for label, precision, recall in zip(LABELS, precisions, recalls, strict=True):
        assert found[f"precision {label}"].value == pytest.approx(precision)
        assert found[f"recall {label}"].value == pytest.approx(recall)
    assert found["macro F1"].value == pytest.approx(counted.macro_f1)
    assert found["defect recall"].value == pytest.approx(counted.defect_recall)
    assert found["false positives"].value == pytest.approx(counted.false_positive_rate)
    for figure in found.values():
        assert figure.interval is not None
        assert figure.value is not None
        assert figure.interval[0] - 0.05 <= figure.value <= figure.interval[1] + 0.05


def test_images_of_one_module_widen_every_interval() -> None:
    logits, truth = answers(60)
    logits, truth = np.repeat(logits, 10, axis=0), np.repeat(truth, 10)
    alone = by_name(figures(logits, truth, [str(i) for i in range(600)], MODEL, resamples=300))
    together = by_name(
        figures(logits, truth, [str(i // 10) for i in range(600)], MODEL, resamples=300)
    )
    for name, figure in together.items():
        assert figure.value == alone[name].value
        assert figure.interval is not None
        assert alone[name].interval is not None
        low, high = alone[name].interval
        assert figure.interval[1] - figure.interval[0] > 1.5 * (high - low), name


def test_shares_of_parts_have_the_exact_interval_even_where_no_error_was_seen() -> None:
    truth = np.array([1] * 40)
    logits = np.tile(np.float32([-9, 9, -9]), (40, 1))
    found = by_name(figures(logits, truth, [str(i) for i in range(40)], MODEL, resamples=50))
    assert found["false positives"].interval == (0.0, pytest.approx(1 - 0.025 ** (1 / 40)))
    assert found["defect recall"].value is None
    assert found["recall crack"].value is None
    assert found["recall crack"].interval is None
    assert "-" in found["recall crack"].row()


@given(seed=st.integers(0, 500))
def test_a_calibrated_model_has_a_small_calibration_error_and_a_boastful_one_a_large(
    seed: int,
) -> None:
    random = np.random.default_rng(seed)
    confidences = random.uniform(0.3, 1, 20_000)
    correct = random.random(20_000) < confidences
    assert calibration_error(confidences, correct) < 0.03
    boast = np.minimum(confidences + 0.2, 1)
    gap = float((boast - confidences).mean())
    assert calibration_error(boast, correct) == pytest.approx(gap, abs=0.03)


def test_calibration_error_by_hand() -> None:
    confidences = np.array([0.9, 0.9, 0.55])
    correct = np.array([True, False, True])
    expected = (abs(0.9 + 0.9 - 1) + abs(0.55 - 1)) / 3
    assert calibration_error(confidences, correct) == pytest.approx(expected)
    assert calibration_error(confidences, correct, np.array([1.0, 0, 0])) == pytest.approx(0.1)


def test_errors_become_modules_a_month() -> None:
    measured = (
        Figure(name="defect recall", value=0.95, interval=(0.9, 0.98), images=100),
        Figure(name="false positives", value=0.01, interval=(0.005, 0.02), images=1000),
        Figure(name="for review, of good", value=None, interval=None, images=0),
    )
    scrapped, escaped = costs(measured, Volume(defect_rate=0.08))
    assert scrapped.modules == pytest.approx(1_800_000 * 0.92 * 0.01)
    assert escaped.modules == pytest.approx(1_800_000 * 0.08 * 0.05)
    assert escaped.interval == pytest.approx((1_800_000 * 0.08 * 0.02, 1_800_000 * 0.08 * 0.1))
    assert escaped.sentence() == (
        "escaped though defective: 7,200 modules a month (2,880 .. 14,400)"
    )


@pytest.mark.parametrize(
    ("modules", "rate", "expected"),
    [(0, 0.1, "--modules-per-month 0"), (1, 1.5, "--defect-rate 1.5"), (1, math.nan, "nan")],
)
def test_a_volume_that_cannot_be_is_refused(modules: int, rate: float, expected: str) -> None:
    with pytest.raises(UsageError, match=expected):
        Volume(modules=modules, defect_rate=rate)
