"""How well the answers to validation images are calibrated: what the daemon estimates its figures by.

Owns which answers count as alike. They are told apart by outcome, class and the probability of that
class; of the uncertain ones small cells are made, since a line that changes sends more parts there.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.performance import AnswerCell, AnswerReference

Floats = npt.NDArray[np.float64]

FEWEST = 40
"""Images of the most uncertain cell of an answer; the next is WIDENING times as large."""
WIDENING = 3
MOST_CELLS = 4
"""Of one answer."""


def answer_reference(
    logits: npt.NDArray[np.float32],
    truths: Sequence[str],
    groups: Sequence[str],
    spec: ModelSpec,
) -> AnswerReference:
    """Count how validation images (images, classes) were answered and what they truly were.

    `groups` names what each image belongs to, the empty string what stands alone.
    """
    rows = policy.probabilities(logits, spec.decision.temperature)
    decisions = policy.decide(rows, spec)
    answers = [(decision.outcome, decision.label) for decision in decisions]
    certain = np.array([decision.scores[str(decision.label)] for decision in decisions])
    true = np.array([spec.labels.index(truth) for truth in truths])
    cells = []
    for outcome, label in policy.answers(spec):
        members = np.array(
            [n for n, answer in enumerate(answers) if answer == (outcome, label)], int
        )
        limits = _limits(certain[members])
        for low, high in zip(limits, [*limits[1:], np.inf], strict=True):
            inside = members[(certain[members] >= low) & (certain[members] < high)]
            counted = np.bincount(true[inside], minlength=len(spec.labels))
            cells.append(
                AnswerCell(
                    label=label,
                    outcome=outcome,
                    certain_from=low,
                    truths=tuple(map(int, counted)),
                    expected=tuple(map(float, rows[inside].sum(axis=0, dtype=float))),
                )
            )
    return AnswerReference(
        labels=spec.labels,
        ok_labels=spec.decision.ok_labels,
        alike=tuple(
            _alike([group for group, truth in zip(groups, truths, strict=True) if truth == label])
            for label in spec.labels
        ),
        cells=tuple(cells),
    )


def _limits(certain: Floats) -> list[float]:
    """Where the cells of one answer begin, from its images' certainty; the first at 0."""
    ordered, limits, size, taken = np.sort(certain), [0.0], FEWEST, 0
    while len(limits) < MOST_CELLS and len(ordered) - (taken + size) >= WIDENING * size:
        taken += size
        if (limit := float(ordered[taken])) > max(limits[-1], float(ordered[0])):
            limits.append(limit)
        size *= WIDENING
    return limits


def _alike(groups: Sequence[str]) -> float:
    """Images of one class by the group they come from: how many count as one (Kish 1965)."""
    sizes = Counter(group or f"\0{index}" for index, group in enumerate(groups)).values()
    return sum(size**2 for size in sizes) / sum(sizes) if sizes else 1.0
