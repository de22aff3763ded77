"""The present macro F1, defect recall and false positives of a station, without a label.

Answers that are alike have the truths that such answers had among the validation images: as long as
the model errs on the line as it did there, that holds however many parts are answered how, which is
what covariate shift changes. It does not hold where the model meets what it never saw, so estimates
are marked unreliable when the frames have moved far; and it cannot see a class that is new, nor that a
defect which the model hardly tells has become frequent. What was measured of it:
docs/drift.md.

Knows no clock. Memory does not grow. Counting is the business of one thread; estimating takes
milliseconds, works on a copy and is the business of another one, one at a time.
"""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.performance import AnswerReference, Estimated, Figures
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift import words
from edge_runtime.drift.confusion import Cells, figures
from edge_runtime.drift.state import State, number, take_over
from edge_runtime.drift.window import BLOCKS

FEWEST_PARTS = 512
"""Of fewer, chance is all that a figure would show."""
RENEWED_EVERY = 8
"""Blocks; an estimate over 64 of them does not change sooner."""
BORNE_OUT_TO = 3.0
"""Standard deviations of the reference that a mean may have moved; why: docs/drift.md."""
_LEAST = 1e-3
"""Images of any class that are expected in any cell, so that no error is ruled out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Parts that an estimate is about."""

    blocks: int
    """Counted when this was taken."""
    parts: npt.NDArray[np.float64]
    """(cells,)"""
    unreliable: str | None


class Estimator:
    """Counts the answers of the last BLOCKS blocks, and estimates figures from such counts."""

    def __init__(self, reference: AnswerReference) -> None:
        self._cells = _cells(reference)
        self._columns: dict[tuple[Outcome, str], tuple[list[float], list[int]]] = {}
        for column, cell in enumerate(reference.cells):
            limits, columns = self._columns.setdefault((cell.outcome, cell.label), ([], []))
            place = bisect_right(limits, cell.certain_from)
            limits.insert(place, cell.certain_from)
            columns.insert(place, column)
        self.counts = np.zeros((BLOCKS, len(reference.cells)), np.uint8)
        """By block, a ring, and cell."""
        self.blocks = 0
        """Counted so far."""
        self._last: tuple[Answered, Figures] | None = None

    def take_block(self, answers: Iterable[tuple[Outcome, str, float]]) -> None:
        """Count a block of parts: outcome, class, and the probability of that class."""
        counted = [0] * self.counts.shape[1]
        for outcome, label, certain in answers:
            # What the decision rule alone cannot answer, such as a review for a view that lacks, has no
            # likeness among the validation images.
            if (cells := self._columns.get((outcome, label))) is not None:
                limits, columns = cells
                counted[columns[max(0, bisect_right(limits, certain) - 1)]] += 1
        self.counts[self.blocks % BLOCKS] = counted
        self.blocks += 1

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What was counted, by name."""
        return {"counts": self.counts, "blocks": np.array(self.blocks)}

    def resume(self, state: State) -> None:
        """Go on from counts of the same cells; raises ValueError where they are others."""
        self.blocks = number(state, "blocks")
        take_over({"counts": self.counts}, state)

    def answered(self, unreliable: str | None) -> "Answered":
        """What there is to estimate from now; `unreliable` is why an estimate need not hold, None where
        nothing speaks against it."""
        return Answered(
            blocks=self.blocks, parts=self.counts.sum(axis=0, dtype=float), unreliable=unreliable
        )

    def estimate(self, answered: "Answered") -> Estimated | None:
        """The figures of these parts, anew every RENEWED_EVERY blocks; None where they are too few."""
        if answered.parts.sum() < FEWEST_PARTS:
            return None
        if self._last is None or answered.blocks - self._last[0].blocks >= RENEWED_EVERY:
            self._last = answered, figures(self._cells, answered.parts, realised=True)
        before, found = self._last
        return Estimated(
            macro_f1=found.macro_f1,
            defect_recall=found.defect_recall,
            false_positive_rate=found.false_positive_rate,
            confidence=found.confidence,
            parts=int(before.parts.sum()),
            unreliable=answered.unreliable,
            words=words.of_figures("estimated", found, answered.unreliable),
        )


def doubt(measure: str, shift: float) -> str | None:
    """Why estimates need not hold with frames that have moved so far, in standard deviations."""
    if abs(shift) <= BORNE_OUT_TO:
        return None
    return (
        f"{measure} has moved by {abs(shift):.1f} standard deviations, estimates are borne out up to "
        f"{BORNE_OUT_TO:g}"
    )


def _cells(reference: AnswerReference) -> Cells:
    """The cells of a bundle's reference, as counts to reckon with."""
    return Cells(
        labels=reference.labels,
        good=np.array([label in reference.ok_labels for label in reference.labels]),
        answers=[(cell.outcome, cell.label) for cell in reference.cells],
        truths=np.array([cell.truths for cell in reference.cells], np.float64),
        expected=np.array([cell.expected for cell in reference.cells]) + _LEAST,
        alike=np.array(reference.alike),
    )
