"""Calibration that a build writes: every image counted once, in a cell that every answer finds."""

import numpy as np
import pytest

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.performance import AnswerReference
from edge_runtime.contracts.verdict import Outcome
from optimize.builder.answer_reference import FEWEST, answer_reference

LABELS = ("crack", "no_defect", "spatter")


def spec(*ok: str) -> ModelSpec:
    return ModelSpec(
        labels=LABELS,
        input=InputSpec(),
        decision=DecisionRule(
            ok_labels=ok, thresholds=Thresholds(review_from=0.4, defect_from=0.6)
        ),
        provenance={},
    )


def made(*ok: str, images: int = 1000, group: int = 4) -> tuple[AnswerReference, list[str]]:
    rng = np.random.default_rng(1)
    truths = [LABELS[k] for k in rng.choice(3, images, p=[0.1, 0.8, 0.1])]
    logits = rng.normal(0, 1, (images, 3)).astype(np.float32)
    logits[np.arange(images), [LABELS.index(truth) for truth in truths]] += 3
    groups = [str(n // group) if group > 1 else "" for n in range(images)]
    return answer_reference(logits, truths, groups, spec(*ok)), truths


def test_every_image_is_counted_once_by_its_truth() -> None:
    found, truths = made("no_defect")
    for column, label in enumerate(LABELS):
        assert sum(cell.truths[column] for cell in found.cells) == truths.count(label)
    assert sum(map(sum, (cell.expected for cell in found.cells))) == pytest.approx(len(truths))


def test_uncertain_answers_have_cells_of_their_own() -> None:
    found, _ = made("no_defect")
    fine = [cell for cell in found.cells if cell.outcome is Outcome.OK]
    assert len(fine) > 1
    assert fine[0].certain_from == 0
    assert sum(fine[0].truths) == FEWEST
    wrong = [sum(cell.truths) - cell.truths[1] for cell in fine]
    assert wrong[0] > 3 * wrong[-1]


def test_every_answer_that_the_rule_can_give_has_a_cell() -> None:
    found, _ = made("no_defect")
    assert {(cell.outcome.value, cell.label) for cell in found.cells} == {
        ("ok", "no_defect"),
        *((outcome, bad) for outcome in ("review", "defect") for bad in ("crack", "spatter")),
    }
    without, _ = made()
    assert {cell.label for cell in without.cells if cell.outcome is Outcome.DEFECT} == set(LABELS)


def test_images_of_a_class_that_come_together_count_as_one() -> None:
    alone, _ = made("no_defect", group=1)
    assert alone.alike == (1.0, 1.0, 1.0)
    together, _ = made("no_defect", group=4)
    crack, good, _ = together.alike
    assert 1 < crack < 2 < good <= 4


def test_equal_answers_make_one_cell() -> None:
    logits = np.tile(np.array([[0, 5, 0]], np.float32), (500, 1))
    found = answer_reference(logits, ["no_defect"] * 500, [""] * 500, spec("no_defect"))
    assert [cell.truths for cell in found.cells if cell.outcome is Outcome.OK] == [(0, 500, 0)]
