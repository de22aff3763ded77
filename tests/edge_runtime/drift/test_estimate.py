"""Estimates without labels: they hold under covariate shift, and say where they need not."""

import numpy as np
import pytest

from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.performance import AnswerReference
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.estimate import FEWEST_PARTS, Estimator, doubt
from edge_runtime.drift.window import BLOCK, BLOCKS
from optimize.builder.answer_reference import answer_reference

SPEC = ModelSpec(
    labels=("no_defect", "spatter"),
    input=InputSpec(),
    decision=DecisionRule(
        ok_labels=("no_defect",), thresholds=Thresholds(review_from=0.4, defect_from=0.6)
    ),
    provenance={},
)


class Line:
    """Parts that are hard or easy; the model claims more than it knows, equally everywhere."""

    def __init__(self, seed: int, *, hard: float) -> None:
        rng = np.random.default_rng(seed)
        count = BLOCK * BLOCKS
        self.logits = np.where(
            rng.uniform(size=count) < hard,
            rng.normal(0, 1.2, count),
            np.where(rng.uniform(size=count) < 0.08, 4.0, -4.0) + rng.normal(0, 1, count),
        )
        self.bad = rng.uniform(size=count) < 1 / (1 + np.exp(-self.logits / 1.5))
        score = 1 / (1 + np.exp(-self.logits))
        self.noticed, self.defect = score >= 0.4, score >= 0.6
        self.certain = np.where(self.noticed, score, 1 - score)

    def recall(self) -> float:
        return float(self.noticed[self.bad].mean())

    def reference(self, images: int) -> AnswerReference:
        logits = np.column_stack((np.zeros(images), self.logits[:images])).astype(np.float32)
        truths = [SPEC.labels[int(bad)] for bad in self.bad[:images]]
        return answer_reference(logits, truths, [""] * images, SPEC)

    def watched_by(self, estimator: Estimator, parts: int) -> None:
        answers = [
            (
                Outcome.DEFECT if defect else Outcome.REVIEW if noticed else Outcome.OK,
                SPEC.labels[int(noticed)],
                float(certain),
            )
            for defect, noticed, certain in zip(
                self.defect, self.noticed, self.certain, strict=True
            )
        ]
        for start in range(0, parts, BLOCK):
            estimator.take_block(answers[start : start + BLOCK])


def covered(*, hard: float, repeats: int = 40) -> tuple[float, float]:
    """How often the estimated recall's interval and the one carried forward hold the true one."""
    estimated = carried = 0
    for seed in range(repeats):
        before, now = Line(seed, hard=0.03), Line(10_000 + seed, hard=hard)
        estimator = Estimator(before.reference(2000))
        now.watched_by(estimator, BLOCK * BLOCKS)
        found = estimator.estimate(estimator.answered(None))
        assert found is not None
        assert found.defect_recall is not None
        estimated += found.defect_recall.low <= now.recall() <= found.defect_recall.high
        # As wide, about the validation images' own recall.
        half = (found.defect_recall.high - found.defect_recall.low) / 2
        carried += abs(before.recall() - now.recall()) <= half
    return estimated / repeats, carried / repeats


@pytest.mark.parametrize("hard", [0.03, 0.3])
def test_the_interval_covers_the_true_recall_however_many_parts_are_hard(hard: float) -> None:
    assert covered(hard=hard)[0] >= 0.85


def test_the_validation_figure_carried_forward_does_not() -> None:
    """The control: where more parts are hard, what was true before is not true now."""
    assert covered(hard=0.3)[1] < 0.2


def test_too_few_parts_have_no_estimate() -> None:
    line = Line(1, hard=0.03)
    estimator = Estimator(line.reference(2000))
    line.watched_by(estimator, FEWEST_PARTS - BLOCK)
    assert estimator.estimate(estimator.answered(None)) is None
    line.watched_by(estimator, BLOCK)
    found = estimator.estimate(estimator.answered(None))
    assert found is not None
    assert found.parts == FEWEST_PARTS


def test_only_the_window_counts() -> None:
    estimator = Estimator(Line(1, hard=0.03).reference(2000))
    Line(2, hard=0.9).watched_by(estimator, BLOCK * BLOCKS)
    now = Line(3, hard=0.03)
    now.watched_by(estimator, BLOCK * BLOCKS)
    fresh = Estimator(Line(1, hard=0.03).reference(2000))
    now.watched_by(fresh, BLOCK * BLOCKS)
    assert estimator.estimate(estimator.answered(None)) == fresh.estimate(fresh.answered(None))


def test_an_estimate_is_told_in_words_with_its_doubt() -> None:
    line = Line(1, hard=0.03)
    estimator = Estimator(line.reference(2000))
    line.watched_by(estimator, BLOCK * BLOCKS)
    why = doubt("brightness", -9.0)
    found = estimator.estimate(estimator.answered(why))
    assert found is not None
    assert found.unreliable == why
    assert found.words.startswith("estimated: macro F1 0.")
    assert "defect recall 0." in found.words
    assert found.words.endswith("unreliable: " + str(why))
    assert "brightness has moved by 9.0 standard deviations" in str(why)


def test_frames_as_in_the_reference_raise_no_doubt() -> None:
    assert doubt("brightness", 0.3) is None
