"""The decision rule, chosen on validation answers alone: temperature, then two thresholds.

Owns the choice; `edge_runtime.policy` owns the rule's meaning and is what computes every score here.
Values in, values out. A defective part counts as found when it is answered `defect` or `review`, a good
one as a false positive when it is answered `defect`; good parts for review have a limit of their own.

`choose` meets its limits as point estimates on the validation images, whatever recall that leaves.
`choose_within` meets bounds with confidence or says that nothing does; it is what a line is trusted by.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.errors import UsageError
from optimize.limits import CONFIDENCE, MAX_FALSE_POSITIVES, MIN_RECALL
from train.decision.frontier import Frontier, Scored, midway

Logits = npt.NDArray[np.float32]
Classes = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the rule may cost on the validation images."""

    false_positives: float = 0.01
    """Largest share of good parts answered `defect`."""
    reviews: float = 0.02
    """Largest further share of good parts answered `review`."""

    def __post_init__(self) -> None:
        for flag, share in (("false-positives", self.false_positives), ("reviews", self.reviews)):
            if not 0 <= share <= 1:
                raise UsageError(f"--{flag} {share}: expected a share from 0 to 1")


LIMITS = Limits()


def describe(limits: Limits) -> str:
    """How `choose` came to its rule, for the provenance of a model."""
    return (
        f"point estimates on the validation images: false positives at most "
        f"{limits.false_positives:g}, good parts for review at most {limits.reviews:g}"
    )


def choose(
    logits: Logits, truth: Classes, labels: Sequence[str], ok_labels: Sequence[str], limits: Limits
) -> DecisionRule:
    """The rule that finds most defects within the limits.

    Without ok labels everything is a defect and the answer is the likeliest class. Otherwise raises
    ValueError unless the truth holds good parts and defects.
    """
    rule = flag_all(fit_temperature(logits, truth), ok_labels)
    if not ok_labels:
        return rule
    parts = score(logits, truth, [""] * len(truth), labels, rule)
    thresholds = choose_thresholds(
        parts.scores[parts.is_good], parts.scores[~parts.is_good], limits
    )
    return rule.model_copy(update={"thresholds": thresholds})


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """What must hold for all parts of the line with confidence, judged from the validation images."""

    min_recall: float = MIN_RECALL
    """Least share of defective parts answered `defect` or `review`."""
    max_false_positives: float = MAX_FALSE_POSITIVES
    """Largest share of good parts answered `defect`."""
    max_reviews: float = 0.02
    """Largest share of good parts answered `review`."""
    confidence: float = CONFIDENCE
    """Of each one-sided bound by itself."""

    def __post_init__(self) -> None:
        for flag, share in (
            ("min-recall", self.min_recall),
            ("max-false-positives", self.max_false_positives),
            ("max-reviews", self.max_reviews),
        ):
            if not 0 <= share <= 1:
                raise UsageError(f"--{flag} {share}: expected a share from 0 to 1")
        if not 0.5 <= self.confidence < 1:
            raise UsageError(
                f"--confidence {self.confidence}: expected a probability from 0.5 to below 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Shortfall:
    """Why no thresholds meet a requirement, and what would."""

    reason: str
    nearest: int | None
    """Position on the frontier of the threshold whose shares, if they stay, need fewest further labels;
    None where no threshold's shares themselves lie within the limits, so that labels do not help."""
    more_defective: int
    more_good: int
    """Further labelled images of each kind at that threshold's shares."""


def choose_within(frontier: Frontier, requirement: Requirement) -> Thresholds | Shortfall:
    """The thresholds that meet the requirement, or why none do; the frontier has its confidence.

    Where one threshold meets both bounds, the one with the best macro F1, and no band for review. Else
    the narrowest band: what neither bound can clear is for review, within `max_reviews`.
    """
    recalls = np.flatnonzero(frontier.recall_bound >= requirement.min_recall)
    spares = np.flatnonzero(frontier.false_positive_bound <= requirement.max_false_positives)
    if not len(recalls) or not len(spares):
        return _shortfall(
            frontier,
            requirement,
            "even if all were found, there are too few labelled defects"
            if not len(recalls)
            else "even if none were flagged, there are too few good parts",
        )
    # Thresholds ascend: the recall allows all up to `highest`, the false positives all from `lowest`.
    highest, lowest = int(recalls[-1]), int(spares[0])
    if lowest <= highest:
        best = lowest + int(np.argmax(frontier.macro_f1[lowest : highest + 1]))
        threshold = float(frontier.thresholds[best])
        return Thresholds(review_from=threshold, defect_from=threshold)
    in_band = int(frontier.false_positives[highest] - frontier.false_positives[lowest])
    bound = float(frontier.good.at_most(in_band, requirement.confidence))
    if bound > requirement.max_reviews:
        return _shortfall(
            frontier,
            requirement,
            f"no one threshold does, and a band for review from {frontier.thresholds[highest]:.4f} to "
            f"{frontier.thresholds[lowest]:.4f} may take {bound:.1%} of the good parts "
            f"(--max-reviews {requirement.max_reviews:g})",
        )
    return Thresholds(
        review_from=float(frontier.thresholds[highest]),
        defect_from=float(frontier.thresholds[lowest]),
    )


def _shortfall(frontier: Frontier, requirement: Requirement, reason: str) -> Shortfall:
    """The need for labels, over all single thresholds whose shares lie within the limits."""
    within = np.flatnonzero(
        (frontier.defective.share(frontier.found) > requirement.min_recall)
        & (frontier.good.share(frontier.false_positives) < requirement.max_false_positives)
    )
    needs = []
    for position in within.tolist():
        more_defective = frontier.defective.more_for_at_least(
            int(frontier.found[position]), requirement.min_recall, requirement.confidence
        )
        more_good = frontier.good.more_for_at_most(
            int(frontier.false_positives[position]),
            requirement.max_false_positives,
            requirement.confidence,
        )
        if more_defective is not None and more_good is not None:
            needs.append((more_defective + more_good, more_defective, more_good, position))
    if not needs:
        return Shortfall(reason=reason, nearest=None, more_defective=0, more_good=0)
    _, more_defective, more_good, nearest = min(needs)
    return Shortfall(
        reason=reason, nearest=nearest, more_defective=more_defective, more_good=more_good
    )


def score(
    logits: Logits,
    truth: Classes,
    groups: Sequence[str],
    labels: Sequence[str],
    rule: DecisionRule,
) -> Scored:
    """Answers (N, classes) as the rule's policy sees them before its thresholds."""
    model = ModelSpec(labels=tuple(labels), input=InputSpec(), decision=rule, provenance={})
    shares = policy.probabilities(logits, rule.temperature)
    good = np.isin(labels, rule.ok_labels)
    return Scored(
        # The policy compares in float64; a float32 array would round the threshold before comparing.
        scores=policy.defect_scores(shares, model).astype(np.float64),
        truth=truth,
        if_ok=np.where(good, shares, -1).argmax(axis=1),
        if_flagged=np.where(good, -1, shares).argmax(axis=1),
        is_good=good[truth],
        groups=tuple(groups),
    )


def flag_all(temperature: float, ok_labels: Sequence[str]) -> DecisionRule:
    """The rule under which every part is a defect: where there are no ok labels, or to start from."""
    return DecisionRule(
        ok_labels=tuple(ok_labels),
        temperature=temperature,
        thresholds=Thresholds(review_from=0, defect_from=0),
    )


def fit_temperature(logits: Logits, truth: Classes) -> float:
    """The temperature that makes the true classes likeliest, every class counting alike.

    Classes count alike because the network answers as if they were equally frequent (`Recipe.
    logit_adjustment`); the thresholds account for how frequent they are.
    """
    counts = np.bincount(truth, minlength=logits.shape[1])
    weights = 1 / counts[truth]

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / math.exp(log_temperature)
        scaled -= scaled.max(axis=1, keepdims=True)
        log_likelihood = scaled[np.arange(len(truth)), truth] - np.log(np.exp(scaled).sum(axis=1))
        return float(-(weights * log_likelihood).sum())

    return math.exp(_minimum(loss, math.log(0.05), math.log(20)))


def choose_thresholds(
    good: npt.NDArray[np.float64], defective: npt.NDArray[np.float64], limits: Limits
) -> Thresholds:
    """Thresholds on the defect score, from the scores of good and of defective parts.

    `defect_from` is as low as the false positives allow. `review_from` goes lower as far as the
    reviews allow, but only where that finds further defects. Each lies midway between two neighbouring
    scores, so that no validation part sits on the edge. A good part with the highest score there is, 1,
    is a defect under any threshold.
    """
    if not len(good) or not len(defective):
        raise ValueError("thresholds need scores of good and of defective parts")
    scores = np.unique(np.concatenate([good, defective]))
    defect_from = _lowest(good, scores, math.floor(limits.false_positives * len(good)))
    flagged = math.floor((limits.false_positives + limits.reviews) * len(good))
    review_from = _lowest(good, scores, flagged)
    further = defective[(defective >= review_from) & (defective < defect_from)]
    review_from = _below(float(further.min()), scores) if len(further) else defect_from
    return Thresholds(review_from=review_from, defect_from=defect_from)


def _lowest(good: npt.NDArray[np.float64], scores: npt.NDArray[np.float64], allowed: int) -> float:
    """The lowest threshold that at most `allowed` good scores reach."""
    if allowed >= len(good):
        return 0.0
    excluded = float(np.sort(good)[::-1][allowed])
    above = scores[scores > excluded]
    return midway(excluded, float(above[0]) if len(above) else 1.0)


def _below(score: float, scores: npt.NDArray[np.float64]) -> float:
    below = scores[scores < score]
    return midway(float(below[-1]) if len(below) else 0.0, score)


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Golden-section search for the minimum of a function with one valley."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(40):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2
