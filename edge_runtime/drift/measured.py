"""Macro F1, defect recall and false positives from labels that came back.

Labels of rejected parts say nothing of missed defects, however many there are. So every answer is a
stratum of its own: within it labels count that were chosen by chance or by that very answer, and each
stratum weighs as many parts as were answered so. Values in, values out.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from edge_runtime.contracts.label import UNKNOWN_DEFECT, Selected
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.performance import Figures, Measured
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift import words
from edge_runtime.drift.confusion import CONFIDENCE, Cells, figures

FEWEST_RANDOM = 30
"""Labels of parts that were answered `ok` and drawn by chance; of fewer nothing is said."""
_WRONG = 1e-3
"""Weight of an error that was not seen, beside an answer that is right."""

_NOTHING = Figures(
    macro_f1=None, defect_recall=None, false_positive_rate=None, confidence=CONFIDENCE
)
_CHOSEN_BY = {Outcome.DEFECT: Selected.DEFECTS, Outcome.REVIEW: Selected.REVIEW}


def measured(
    model: ModelSpec,
    answers: Sequence[tuple[Outcome, str]],
    answered: Mapping[tuple[Outcome, str], int],
    labelled: Mapping[tuple[Outcome, str, str, Selected], int],
    *,
    since: datetime | None,
    received: Mapping[str, int],
) -> Measured:
    """The figures of the parts `answered` with an outcome and a class, one of `answers`.

    `labelled` counts labels by outcome, class, true class and how the part was chosen; `received` is
    what became of all labels since the daemon started.
    """
    labels = (*model.labels, UNKNOWN_DEFECT)
    truths = np.zeros((len(answers), len(labels)))
    random = Counter[Outcome]()
    for (outcome, answer, truth, selected), count in labelled.items():
        if (outcome, answer) not in answers or truth not in labels:
            continue
        if selected is Selected.RANDOM or selected is _CHOSEN_BY.get(outcome):
            truths[answers.index((outcome, answer)), labels.index(truth)] += count
        if selected is Selected.RANDOM:
            random[outcome] += count
    own = np.array([[label == answer for label in labels] for _, answer in answers])
    cells = Cells(
        labels=labels,
        good=np.array([label in model.decision.ok_labels for label in labels]),
        answers=answers,
        truths=truths,
        # A class that nobody has seen yet is not expected: it would count as one that is never found.
        expected=(truths.sum(axis=1, keepdims=True) + 1)
        * np.where(own, 1.0, _WRONG)
        * [label != UNKNOWN_DEFECT for label in labels],
        alike=np.ones(len(labels)),
    )
    parts = np.array([float(answered.get(each, 0)) for each in answers])
    used = int(truths.sum())
    seen = random[Outcome.OK if model.decision.ok_labels else Outcome.DEFECT]
    enough = seen >= FEWEST_RANDOM
    found = figures(cells, parts, realised=False) if enough else _NOTHING
    return Measured(
        macro_f1=found.macro_f1,
        defect_recall=found.defect_recall,
        false_positive_rate=found.false_positive_rate,
        confidence=found.confidence,
        labels=used,
        random=random.total(),
        since=since,
        received=received,
        words=words.of_figures("measured", found, None)
        if enough
        else f"not measured: of {used} labels {seen} are of parts that were answered ok and drawn by "
        f"chance, {FEWEST_RANDOM} are the fewest that tell of missed defects",
    )
