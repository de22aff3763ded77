"""Figures from counts of answers: the gate's own where truths are known, exact bounds where few are."""

import numpy as np
import pytest

from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.confusion import CONFIDENCE, Cells, figures
from optimize.bounds import lower, upper
from optimize.gates import macro_f1

LABELS = ("crack", "no_defect", "spatter")
ANSWERS = (
    (Outcome.OK, "no_defect"),
    (Outcome.REVIEW, "crack"),
    (Outcome.DEFECT, "crack"),
    (Outcome.DEFECT, "spatter"),
)


def cells(truths: list[list[float]], *, alike: float = 1.0, good: str = "no_defect") -> Cells:
    return Cells(
        labels=LABELS,
        good=np.array([label == good for label in LABELS]),
        answers=ANSWERS,
        truths=np.array(truths),
        expected=np.full((4, 3), 1e-3),
        alike=np.full(3, alike),
    )


TRUTHS = [[20.0, 9000.0, 10.0], [30.0, 40.0, 2.0], [400.0, 60.0, 3.0], [5.0, 30.0, 700.0]]


def test_with_much_known_the_figures_are_those_of_the_gate() -> None:
    known = cells(TRUTHS)
    found = figures(known, known.truths.sum(axis=1), realised=False)
    truth = [LABELS[k] for row in TRUTHS for k, n in enumerate(row) for _ in range(int(n))]
    answer = [
        own for (_, own), row in zip(ANSWERS, TRUTHS, strict=True) for _ in range(int(sum(row)))
    ]
    bad, good = 1170, 9130
    for figure, expected in (
        (found.macro_f1, macro_f1(truth, answer)),
        (found.defect_recall, 1 - 30 / bad),
        (found.false_positive_rate, 90 / good),
    ):
        assert figure is not None
        assert figure.value == pytest.approx(expected, abs=2e-3)
        assert figure.low < expected < figure.high


def test_parts_move_between_answers_and_the_figures_follow() -> None:
    known = cells(TRUTHS)
    parts = known.truths.sum(axis=1)
    before = figures(known, parts, realised=False)
    after = figures(known, parts * [1, 20, 1, 1], realised=False)
    assert before.macro_f1 is not None
    assert after.macro_f1 is not None
    assert after.macro_f1.high < before.macro_f1.low


@pytest.mark.parametrize("missed", [0, 1, 4])
def test_where_one_error_decides_the_bounds_are_clopper_and_pearsons(missed: int) -> None:
    """All else is certain: so many misses among 300 parts answered good, and as many good as bad."""
    known = cells([[missed, 300.0 - missed, 0.0], [0, 0, 0], [1e9, 0, 0], [0, 0, 1e9]])
    found = figures(known, np.array([1e6, 0, 5e5, 5e5]), realised=False).defect_recall
    assert found is not None
    share = float(upper(missed, 300, CONFIDENCE)), float(lower(missed, 300, CONFIDENCE))
    low, high = (1 / (1 + each) for each in share)
    # Quantiles of 400 draws.
    assert found.low == pytest.approx(low, abs=0.2 * (1 - low))
    assert found.high == pytest.approx(high, abs=0.2 * (1 - high) + 1e-4)


def test_parts_that_come_together_are_known_less_well() -> None:
    parts = cells(TRUTHS).truths.sum(axis=1)
    one, four = (figures(cells(TRUTHS, alike=n), parts, realised=True) for n in (1.0, 4.0))
    for name in ("macro_f1", "defect_recall", "false_positive_rate"):
        narrow, wide = getattr(one, name), getattr(four, name)
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_the_chance_of_the_parts_themselves_widens() -> None:
    known = cells(TRUTHS)
    parts = known.truths.sum(axis=1) / 20
    line, these = (figures(known, parts, realised=each).defect_recall for each in (False, True))
    assert line is not None
    assert these is not None
    assert these.high - these.low > 1.5 * (line.high - line.low)


def test_an_answer_that_was_never_seen_may_be_wrong() -> None:
    known = cells([[0, 2000.0, 0], [0, 0, 0], [90.0, 0, 0], [0, 0, 90.0]])
    found = figures(known, np.array([2000.0, 60, 90, 90]), realised=True).defect_recall
    assert found is not None
    assert found.low < 0.99


def test_a_model_without_good_classes_has_no_recall() -> None:
    found = figures(cells(TRUTHS, good="nothing"), np.array([1.0, 1, 1, 1]), realised=True)
    assert (found.defect_recall, found.false_positive_rate) == (None, None)
    assert found.macro_f1 is not None


def test_cells_and_classes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"expected \(4, 3\) truths, got \(1, 3\)"):
        cells([[1.0, 2.0, 3.0]])
