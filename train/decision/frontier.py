"""Every threshold there is on a set of answers, and what it finds and costs, with its bounds.

Owns the counting along the threshold. Values in, values out. `train.decision.decide` takes one of them.

Both bounds are monotone in the threshold, since the trials stay the same and only the hits change. So
the thresholds at which a bound holds form one range that begins at the safe end, and the last of them
may be taken without a correction for having looked at all: were its true share beyond the limit, the
bound would have failed at the very threshold where the truth crosses the limit, which happens in at
most 1 - confidence of all samples (fixed-sequence testing: Angelopoulos et al. 2021, "Learn then Test").
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimize.bounds import Real, Trials

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """Labelled parts as the decision sees them. All arrays (N,)."""

    scores: Real
    """Defect scores, 0..1."""
    truth: Counts
    """True classes."""
    if_ok: Counts
    """The class each part is given when it is passed: its likeliest good one."""
    if_flagged: Counts
    """The class each part is given when it is flagged: its likeliest defect."""
    is_good: npt.NDArray[np.bool_]
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontier:
    """What flagging from a threshold on would do. Arrays (K,), thresholds ascending."""

    thresholds: Real
    defective: Trials
    good: Trials
    found: Counts
    """Defective images flagged."""
    false_positives: Counts
    """Good images flagged."""
    recall_bound: Real
    """One-sided lower bound on the share of defective images flagged."""
    false_positive_bound: Real
    """One-sided upper bound on the share of good images flagged."""
    macro_f1: Real


def trace(parts: Scored, confidence: float) -> Frontier:
    """Follow the threshold from 0, which flags all, to where nothing is flagged any more.

    Raises ValueError unless there are good and defective parts.
    """
    if parts.is_good.all() or not parts.is_good.any():
        raise ValueError("a frontier needs good and defective parts")
    thresholds = between(np.unique(parts.scores))
    good, defective = (
        Trials.of([g for g, taken in zip(parts.groups, side, strict=True) if taken])
        for side in (parts.is_good, ~parts.is_good)
    )
    found = reached(parts.scores[~parts.is_good], thresholds)
    false_positives = reached(parts.scores[parts.is_good], thresholds)
    return Frontier(
        thresholds=thresholds,
        defective=defective,
        good=good,
        found=found,
        false_positives=false_positives,
        recall_bound=defective.at_least(found, confidence),
        false_positive_bound=good.at_most(false_positives, confidence),
        macro_f1=_macro_f1(parts, found + false_positives),
    )


def between(scores: Real) -> Real:
    """The thresholds that tell distinct ascending scores apart: 0, midway between neighbours, above.

    No part sits on a threshold. A part of score 1 is flagged under any.
    """
    ends = np.append(scores[1:], max(1.0, float(scores[-1])))
    above = [midway(float(low), float(high)) for low, high in zip(scores, ends, strict=True)]
    return np.array([0.0, *above])


def midway(low: float, high: float) -> float:
    """Above `low` and at most `high`, where float64 has room between them; 1 is as far as it goes."""
    return min(1.0, max((low + high) / 2, math.nextafter(low, math.inf)))


def reached(scores: Real, thresholds: Real) -> Counts:
    """How many scores are at or above each threshold."""
    return np.asarray(len(scores) - np.searchsorted(np.sort(scores), thresholds, "left"), np.int64)


def sample(frontier: Frontier, rows: int, keep: Sequence[int]) -> list[int]:
    """At most about `rows` positions of a frontier for a table: evenly spread in the recall and the
    false positives, and those in `keep`."""
    path = np.cumsum(
        np.abs(np.diff(frontier.defective.share(frontier.found), prepend=1.0))
        + np.abs(np.diff(frontier.good.share(frontier.false_positives), prepend=1.0))
    )
    spread = np.searchsorted(path, np.linspace(0, path[-1], rows))
    last = len(path) - 1
    return sorted({int(min(position, last)) for position in (*spread, *keep)})


def _macro_f1(parts: Scored, flagged: Counts) -> Real:
    """Mean F1 over the classes that occur as truth or as answer, when the highest scores are flagged."""
    order = np.argsort(-parts.scores, kind="stable")
    truth, if_ok, if_flagged = (
        column[order] for column in (parts.truth, parts.if_ok, parts.if_flagged)
    )
    total, occurring = np.zeros(len(flagged)), np.zeros(len(flagged))
    for label in range(int(max(truth.max(), if_ok.max(), if_flagged.max())) + 1):
        is_true = truth == label
        hits = _switched((if_ok == label) & is_true, (if_flagged == label) & is_true)[flagged]
        involved = _switched(if_ok == label, if_flagged == label)[flagged] + is_true.sum()
        total += np.divide(2 * hits, involved, where=involved > 0, out=np.zeros(len(flagged)))
        occurring += involved > 0
    return np.asarray(total / occurring)


def _switched(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> Counts:
    """Counts for the first 0..N parts counted by `after` and the others by `before`."""
    change = np.cumsum(after.astype(np.int64) - before)
    return np.concatenate([[0], change]) + int(before.sum())
