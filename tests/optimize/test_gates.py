"""The gate judges verdicts, at the deployed rule."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Outcome
from optimize import gates
from optimize.errors import GateFailed
from tests.optimize.tiny_network import LABELS

SURE_RED = [9.0, 0.0, 0.0]
SURE_GREEN = [0.0, 9.0, 0.0]
SURE_BLUE = [0.0, 0.0, 9.0]
UNSURE = [1.0, 1.0, -9.0]


def decide(rows: list[list[float]], spec: ModelSpec) -> tuple[gates.Decision, ...]:
    return gates.decisions(np.array(rows, np.float32), spec)


def flips(before: list[list[float]], after: list[list[float]], spec: ModelSpec) -> list[str]:
    names = [f"{index}.png" for index in range(len(before))]
    found = gates.find_flips(
        names, ["red"] * len(before), decide(before, spec), decide(after, spec)
    )
    return [flip.path for flip in found]


def test_another_outcome_is_a_flip_and_another_logit_is_not(spec: ModelSpec) -> None:
    before = [SURE_RED, SURE_GREEN, SURE_GREEN]
    assert flips(before, [[5.0, 0.0, 0.0], [0.0, 7.0, 0.0], UNSURE], spec) == ["2.png"]


def test_another_defect_class_is_no_flip(spec: ModelSpec) -> None:
    assert flips([SURE_GREEN], [SURE_BLUE], spec) == []


def test_the_rule_in_the_spec_decides_what_flips(spec: ModelSpec) -> None:
    strict = spec.model_copy(
        update={
            "decision": spec.decision.model_copy(
                update={
                    "thresholds": spec.decision.thresholds.model_copy(
                        update={"review_from": 0.01, "defect_from": 0.99}
                    )
                }
            )
        }
    )
    before, after = [[5.0, 0.0, 0.0]], [[4.0, 0.0, 0.0]]
    assert flips(before, after, spec) == []
    assert flips([[9.0, 0.0, 0.0]], after, strict) == ["0.png"]


@pytest.mark.parametrize(("count", "passes"), [(0, True), (2, True), (3, False)])
def test_the_gate_passes_up_to_the_agreed_share_and_not_beyond(
    spec: ModelSpec, count: int, passes: bool
) -> None:
    before = decide([SURE_RED] * 100, spec)
    after = decide([SURE_GREEN] * count + [SURE_RED] * (100 - count), spec)
    found = gates.find_flips(["x"] * 100, ["red"] * 100, before, after)
    result = gates.judge(found, 100, 0.02)
    assert result.allowed == 2
    assert result.passed is passes


def test_a_gate_without_images_refuses() -> None:
    with pytest.raises(GateFailed, match="no image"):
        gates.judge((), 0, 1.0)


def test_accuracy_counts_review_as_caught_and_only_defect_as_false_alarm(spec: ModelSpec) -> None:
    labels = ["red", "red", "green", "green", "green", "blue"]
    answers = decide([SURE_RED, SURE_GREEN, SURE_GREEN, UNSURE, SURE_RED, SURE_BLUE], spec)
    record = gates.accuracy("data", labels, answers, 1, spec)
    assert record.defect_recall == pytest.approx(3 / 4)
    assert record.false_positive_rate == pytest.approx(1 / 2)
    assert record.review_rate == pytest.approx(1 / 6)
    assert record.images == 6
    assert record.flips == 1


def test_without_good_parts_or_good_classes_shares_are_unknown_not_zero(spec: ModelSpec) -> None:
    record = gates.accuracy("data", ["green"], decide([SURE_GREEN], spec), 0, spec)
    assert record.false_positive_rate is None
    assert record.defect_recall == 1
    every_class_a_defect = spec.model_copy(
        update={"decision": spec.decision.model_copy(update={"ok_labels": ()})}
    )
    answers = decide([SURE_GREEN], every_class_a_defect)
    assert answers[0].outcome is Outcome.DEFECT
    assert gates.accuracy("d", ["green"], answers, 0, every_class_a_defect).defect_recall is None


def test_macro_f1_of_a_hand_counted_case() -> None:
    truth = ["red", "red", "red", "green"]
    answers = ["red", "red", "green", "green"]
    assert gates.macro_f1(truth, answers) == pytest.approx((4 / 5 + 2 / 3) / 2)


@given(pairs=st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1))
def test_macro_f1_is_one_for_a_perfect_answer_only(pairs: list[tuple[str, str]]) -> None:
    truth, answers = zip(*pairs, strict=True)
    score = gates.macro_f1(truth, answers)
    assert 0 <= score <= 1
    assert (score == 1) is (truth == answers)


def test_signal_to_noise_rises_by_six_decibel_when_the_error_halves() -> None:
    rng = np.random.default_rng(1)
    signal = rng.normal(size=(50, 3)).astype(np.float32)
    noise = rng.normal(size=(50, 3)).astype(np.float32)
    ratio = gates.sqnr_db(signal, signal + noise / 2) - gates.sqnr_db(signal, signal + noise)
    assert ratio == pytest.approx(6.02, abs=0.01)
