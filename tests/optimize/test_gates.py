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
        names, ["red"] * len(before), decide(before, spec), decide(after, spec), spec
    )
    return [flip.path for flip in found]


def test_another_outcome_is_a_flip_and_another_logit_is_not(spec: ModelSpec) -> None:
    before = [SURE_RED, SURE_GREEN, SURE_GREEN]
    assert flips(before, [[5.0, 0.0, 0.0], [0.0, 7.0, 0.0], UNSURE], spec) == ["2.png"]


def test_another_defect_class_is_no_flip(spec: ModelSpec) -> None:
    assert flips([SURE_GREEN], [SURE_BLUE], spec) == []


def test_where_every_class_is_a_defect_another_class_is_another_verdict(spec: ModelSpec) -> None:
    rule = spec.decision.model_copy(update={"ok_labels": ()})
    every = spec.model_copy(update={"decision": rule})
    assert flips([SURE_GREEN, SURE_BLUE], [SURE_BLUE, SURE_BLUE], every) == ["0.png"]


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


def judged(
    labels: list[str],
    before: list[list[float]],
    after: list[list[float]],
    spec: ModelSpec,
    *,
    groups: list[str] | None = None,
    limits: gates.Limits | None = None,
) -> gates.Judgement:
    names = [f"{index}.png" for index in range(len(labels))]
    return gates.judge(
        "int8",
        gates.Validation(paths=names, labels=labels, groups=groups or names),
        np.array(before, np.float32),
        np.array(after, np.float32),
        spec,
        limits or gates.Limits(),
    )


@pytest.mark.parametrize(("count", "passes"), [(0, True), (2, True), (3, False)])
def test_the_gate_passes_up_to_the_agreed_share_and_not_beyond(
    spec: ModelSpec, count: int, passes: bool
) -> None:
    # Misses, so that no false alarm breaks a bound: 100 good parts and 100 defects.
    labels = ["red"] * 100 + ["green"] * 100
    before = [SURE_RED] * 100 + [SURE_GREEN] * 100
    after = before[: 200 - count] + [SURE_RED] * count
    result = judged(labels, before, after, spec, limits=gates.Limits(max_flips=0.01))
    assert result.allowed == 2
    assert len(result.flips) == count
    assert result.passed is passes


def test_a_gate_without_images_refuses(spec: ModelSpec) -> None:
    with pytest.raises(GateFailed, match="no image"):
        judged([], np.empty((0, 3)).tolist(), np.empty((0, 3)).tolist(), spec)


def test_good_figures_of_few_images_do_not_hold_a_bound(spec: ModelSpec) -> None:
    labels = ["red"] * 20 + ["green"] * 40
    rows = [SURE_RED] * 20 + [SURE_GREEN] * 40
    result = judged(labels, rows, rows, spec)
    recall, false = result.bounds
    assert (recall.value, false.value) == (1, 0)
    assert recall.held
    assert not false.held  # 0 of 20 leaves up to 0.139
    assert result.faults == ("false positives <= 0.03: 0 of 20 = 0.0000, at most 0.1391: NOT held",)


def test_images_of_one_module_count_as_one(spec: ModelSpec) -> None:
    labels = ["red"] * 200 + ["green"] * 200
    rows = [SURE_RED] * 200 + [SURE_GREEN] * 200
    alone = judged(labels, rows, rows, spec)
    crowded = judged(labels, rows, rows, spec, groups=[str(i // 20) for i in range(400)])
    assert alone.passed
    assert [bound.groups for bound in crowded.bounds] == [10, 10]
    assert not crowded.passed


def test_without_defects_or_good_parts_nothing_is_shown(spec: ModelSpec) -> None:
    result = judged(["red"] * 200, [SURE_RED] * 200, [SURE_RED] * 200, spec)
    assert result.faults == ("defect recall >= 0.85: no such image",)


def test_a_class_that_is_lost_fails_although_no_verdict_flips(spec: ModelSpec) -> None:
    labels = ["red"] * 120 + ["green"] * 60 + ["blue"] * 30
    before = [SURE_RED] * 120 + [SURE_GREEN] * 60 + [SURE_BLUE] * 30
    after = [SURE_RED] * 120 + [SURE_GREEN] * 90
    result = judged(labels, before, after, spec)
    assert result.flips == ()
    (fault,) = result.faults
    assert fault.startswith("blue: recognised in 0 of 30, float32 in 30")


def test_where_every_class_is_a_defect_there_is_no_recall_to_keep(spec: ModelSpec) -> None:
    rule = spec.decision.model_copy(update={"ok_labels": ()})
    every = spec.model_copy(update={"decision": rule})
    result = judged(["green"] * 3, [SURE_GREEN] * 3, [SURE_GREEN] * 3, every)
    assert result.bounds == ()
    assert result.passed


def test_a_judgement_comes_back_from_its_json(spec: ModelSpec) -> None:
    result = judged(["green"] * 3, [SURE_GREEN] * 3, [SURE_RED] * 3, spec)
    assert gates.Judgement.model_validate_json(result.to_json()) == result
    assert result.flips[0].before.words() == "defect green 1.000"
    assert result.flips[0].after.words() == "ok red 0.000"


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
