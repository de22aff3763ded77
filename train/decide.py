"""The decision rule, chosen on validation answers alone: temperature, then two thresholds.

Owns the choice; `edge_runtime.policy` owns the rule's meaning and is what computes every score here.
Values in, values out. The limits are met as point estimates on the validation images.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.errors import UsageError

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


def choose(
    logits: Logits, truth: Classes, labels: Sequence[str], ok_labels: Sequence[str], limits: Limits
) -> DecisionRule:
    """The rule that finds most defects within the limits.

    Without ok labels everything is a defect and the answer is the likeliest class. Otherwise raises
    ValueError unless the truth holds good parts and defects.
    """
    temperature = fit_temperature(logits, truth)
    rule = DecisionRule(
        ok_labels=tuple(ok_labels),
        temperature=temperature,
        thresholds=Thresholds(review_from=0, defect_from=0),
    )
    if not ok_labels:
        return rule
    draft = ModelSpec(labels=tuple(labels), input=InputSpec(), decision=rule, provenance={})
    # The policy compares in float64; a float32 array would round the threshold before comparing.
    scores = policy.defect_scores(policy.probabilities(logits, temperature), draft).astype(
        np.float64
    )
    is_good = np.isin(truth, [list(labels).index(label) for label in ok_labels])
    thresholds = choose_thresholds(scores[is_good], scores[~is_good], limits)
    return rule.model_copy(update={"thresholds": thresholds})


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
    return _midway(excluded, float(above[0]) if len(above) else 1.0)


def _below(score: float, scores: npt.NDArray[np.float64]) -> float:
    below = scores[scores < score]
    return _midway(float(below[-1]) if len(below) else 0.0, score)


def _midway(low: float, high: float) -> float:
    """Above `low` and at most `high`, where float64 has room between them; 1 is as far as it goes."""
    return min(1.0, max((low + high) / 2, math.nextafter(low, math.inf)))


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
