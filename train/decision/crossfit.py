"""Answers judged at thresholds that other images chose: what a rule is worth where it was not tuned.

Owns the choice for each part from the others, and the answers that follow. The choice itself is that of
`train.decision.decide` and `frontier`, the scores are the runtime's policy's. Values in, values out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import DecisionRule
from train.decision import decide
from train.decision.decide import Classes, Limits, Logits
from train.decision.frontier import Scored, trace
from train.errors import DatasetError


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """The class (N,) that each image is answered with, at three thresholds on the defect score."""

    at_rule: Classes
    """At the threshold with the best macro F1 on the other parts, among those whose false positives keep
    the limit there."""
    at_limit: Classes
    """At the threshold that finds most defects on the other parts within the limit."""
    reachable: Classes
    """At the one threshold that suits these very images best: how well the classes can be told apart,
    and no figure to expect on others."""


def judge(
    logits: Logits,
    truth: Classes,
    groups: Sequence[str],
    labels: Sequence[str],
    ok_labels: Sequence[str],
    parts: npt.NDArray[np.int64],
    max_false_positives: float,
) -> Answers:
    """Answer every image; `parts` (N,) says which images may not choose for which.

    Without ok labels there is no threshold, and the likeliest class is the answer throughout. Raises
    DatasetError where the images outside of a part hold no good ones or no defects.
    """
    if not ok_labels:
        likeliest = logits.argmax(axis=1).astype(np.int64)
        return Answers(at_rule=likeliest, at_limit=likeliest, reachable=likeliest)
    require_choice(truth, labels, ok_labels, parts)
    at_rule, at_limit = np.zeros_like(truth), np.zeros_like(truth)

    def scored(wanted: npt.NDArray[np.bool_], rule: DecisionRule) -> Scored:
        names = [group for group, taken in zip(groups, wanted, strict=True) if taken]
        return decide.score(logits[wanted], truth[wanted], names, labels, rule)

    for part in np.unique(parts):
        inside = parts == part
        rule = _undecided(logits[~inside], truth[~inside], ok_labels)
        choosing, judged = scored(~inside, rule), scored(inside, rule)
        best, lowest = _thresholds(choosing, max_false_positives)
        at_rule[inside] = _answers(judged, best)
        at_limit[inside] = _answers(judged, lowest)
    everything = scored(np.ones(len(truth), np.bool_), _undecided(logits, truth, ok_labels))
    best, _ = _thresholds(everything, 1.0)
    return Answers(at_rule=at_rule, at_limit=at_limit, reachable=_answers(everything, best))


def require_choice(
    truth: Classes, labels: Sequence[str], ok_labels: Sequence[str], parts: npt.NDArray[np.int64]
) -> None:
    """Raise DatasetError unless thresholds can be chosen for every part: known before anything is
    taught."""
    is_good = np.isin(labels, ok_labels)[truth]
    for part in np.unique(parts):
        others = is_good[parts != part]
        if ok_labels and (others.all() or not others.any()):
            raise DatasetError(
                "thresholds cannot be chosen: the images outside of one of the judged parts are all "
                "good or all defective; judge more groups (--val-split) or take other --folds"
            )


def _undecided(logits: Logits, truth: Classes, ok_labels: Sequence[str]) -> DecisionRule:
    """The rule before its thresholds: the temperature of these images."""
    return decide.flag_all(decide.fit_temperature(logits, truth), ok_labels)


def _thresholds(parts: Scored, max_false_positives: float) -> tuple[float, float]:
    """The threshold with the best macro F1 within the limit, and the lowest within it."""
    frontier = trace(parts, 0.5)
    within = frontier.good.share(frontier.false_positives) <= max_false_positives
    # Good parts of the highest score there is are flagged under any threshold: then none keeps it.
    allowed = np.flatnonzero(within) if within.any() else np.array([len(within) - 1])
    best = allowed[int(np.argmax(frontier.macro_f1[allowed]))]
    limits = Limits(false_positives=max_false_positives, reviews=0.0)
    lowest = decide.choose_thresholds(
        parts.scores[parts.is_good], parts.scores[~parts.is_good], limits
    )
    return float(frontier.thresholds[best]), lowest.defect_from


def _answers(parts: Scored, threshold: float) -> Classes:
    return np.where(parts.scores >= threshold, parts.if_flagged, parts.if_ok)
