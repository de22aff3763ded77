"""The decision: logits in, a verdict's substance out. The only code that applies a decision rule.

Values in, values out; no clock, no I/O. Training, the gate of `optimize` and the daemon all decide here,
so a threshold means the same everywhere. Labels and limits come from the model's spec alone: any number
of classes, any number of them good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Outcome

Unseen: TypeAlias = Literal["not_inspected", "review"]
"""What a part is of which not every view was seen, and in no view a defect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is decided about one part."""

    outcome: Outcome
    label: str | None
    """`ok`: the likeliest good class. `defect`, `review`: the likeliest defect class."""
    scores: Mapping[str, float]
    reason: str | None


def probabilities(logits: npt.NDArray[np.float32], temperature: float) -> npt.NDArray[np.float32]:
    """Softmax of logits / temperature; (N, classes) float32 in, the same shape and dtype out."""
    scaled = logits.astype(np.float32) / np.float32(temperature)
    exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    shares: npt.NDArray[np.float32] = exponentials / exponentials.sum(axis=1, keepdims=True)
    return shares


def defect_scores(
    probabilities: npt.NDArray[np.float32], model: ModelSpec
) -> npt.NDArray[np.float32]:
    """Probability that a part is not good, (N,) float32 in 0..1; 1 where the model has no ok label."""
    good = [model.labels.index(label) for label in model.decision.ok_labels]
    scores: npt.NDArray[np.float32] = np.clip(1 - probabilities[:, good].sum(axis=1), 0, 1)
    return scores


def defect_score(scores: Mapping[str, float], model: ModelSpec) -> float:
    """The same for the scores of a decision about a part that was inspected."""
    return min(1.0, max(0.0, 1 - sum(scores[label] for label in model.decision.ok_labels)))


def decide(probabilities: npt.NDArray[np.float32], model: ModelSpec) -> tuple[Decision, ...]:
    """Decide about each part of a batch from its probabilities (N, classes) float32, in order.

    Raises ValueError when one is not finite: NaN is neither above a threshold nor below it.
    """
    if not np.isfinite(probabilities).all():
        raise ValueError("the probabilities are not finite")
    scores = defect_scores(probabilities, model)
    # As Python's own numbers, which a batch of some rows is decided by in half the time.
    return tuple(
        _decide(row, score, model)
        for row, score in zip(probabilities.tolist(), scores.tolist(), strict=True)
    )


def _decide(probabilities: Sequence[float], score: float, model: ModelSpec) -> Decision:
    rule = model.decision
    if score >= rule.thresholds.defect_from:
        outcome, reason = Outcome.DEFECT, None
    elif score >= rule.thresholds.review_from:
        outcome = Outcome.REVIEW
        reason = (
            f"uncertain: defect score {score:.3f} lies between "
            f"{rule.thresholds.review_from:.3f} and {rule.thresholds.defect_from:.3f}"
        )
    else:
        outcome, reason = Outcome.OK, None
    eligible = [
        index
        for index, label in enumerate(model.labels)
        if (label in rule.ok_labels) == (outcome is Outcome.OK)
    ]
    # A model that knows good classes only still answers with one when its score asks for review.
    likeliest = max(eligible or range(len(model.labels)), key=probabilities.__getitem__)
    return Decision(
        outcome=outcome,
        label=model.labels[likeliest],
        scores=dict(zip(model.labels, probabilities, strict=True)),
        reason=reason,
    )


def combine(views: Sequence[Decision], unseen: Unseen) -> Decision:
    """Decide about a part from what was decided about each view of it, one at least.

    A defect in any view is the part's. Else all views must have been seen: a part of which one was
    not is `not_inspected`, or for `review` where `unseen` says so. The view that decided speaks for
    the part; of several equally grave ones the first, of defects the likeliest.
    """
    defects = [view for view in views if view.outcome is Outcome.DEFECT]
    if defects:
        return max(defects, key=lambda view: view.scores[str(view.label)])
    for number, view in enumerate(views, start=1):
        if view.outcome is Outcome.NOT_INSPECTED:
            of = f" (view {number} of {len(views)})" if len(views) > 1 else ""
            outcome = Outcome.NOT_INSPECTED if unseen == "not_inspected" else Outcome.REVIEW
            return replace(view, outcome=outcome, reason=f"{view.reason}{of}")
    uncertain = (view for view in views if view.outcome is Outcome.REVIEW)
    return next(uncertain, views[0])


def answers(model: ModelSpec) -> tuple[tuple[Outcome, str], ...]:
    """Every outcome and class that `decide` can answer with."""
    good = model.decision.ok_labels
    bad = tuple(label for label in model.labels if label not in good) or model.labels
    return (
        *((Outcome.OK, label) for label in good),
        *((outcome, label) for outcome in (Outcome.REVIEW, Outcome.DEFECT) for label in bad),
    )


def not_inspected(reason: str) -> Decision:
    """The answer for a part that could not be seen."""
    return Decision(outcome=Outcome.NOT_INSPECTED, label=None, scores={}, reason=reason)
