"""How certain the figures of an evaluation are: each with an interval that respects the groups.

Owns which figure gets which interval. Shares of parts (defect recall, false positives) have exact
Clopper-Pearson intervals, everything else group-bootstrap percentiles; both from `optimize.bounds`.
Arrays in, values out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Outcome
from optimize.bounds import Real, Trials, group_bootstrap
from train.figures.counts import macro_f1
from train.figures.reliability import calibration_error


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One figure and how far it can be trusted."""

    name: str
    value: float | None
    """None where the images do not define it."""
    interval: tuple[float, float] | None
    """Two-sided; None where too few images define it."""
    images: int
    """That it is a share of, or was counted over."""

    def row(self) -> str:
        """One line of a table."""
        value = "-" if self.value is None else f"{self.value:.4f}"
        low, high = ("-", "-") if self.interval is None else (f"{x:.4f}" for x in self.interval)
        return f"{self.name:<26} {value:>7}  {low:>7} .. {high:<7} {self.images:>8}"


def figures(
    logits: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
    groups: Sequence[str],
    model: ModelSpec,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Figure, ...]:
    """All figures of answers (N >= 1, classes) against the truth (N,), at the model's own rule."""
    shares = policy.probabilities(logits, model.decision.temperature)
    decisions = policy.decide(shares, model)
    outcomes = np.array([decision.outcome for decision in decisions])
    positions = {label: position for position, label in enumerate(model.labels)}
    answers = np.array([positions[decision.label or ""] for decision in decisions])
    good = np.isin(truth, [positions[label] for label in model.decision.ok_labels])
    of_parts = [
        _share("false positives", outcomes == Outcome.DEFECT, good, groups, confidence),
        _share("for review, of good", outcomes == Outcome.REVIEW, good, groups, confidence),
    ]
    if model.decision.ok_labels:
        found = outcomes != Outcome.OK
        of_parts.insert(0, _share("defect recall", found, ~good, groups, confidence))

    def counted(weights: Real) -> dict[str, float]:
        return _counted(shares, truth, answers, weights, model.labels)

    values = counted(np.ones(len(truth)))
    intervals = group_bootstrap(
        groups, counted, confidence=confidence, resamples=resamples, seed=seed
    )
    over = {f"recall {label}": int((truth == i).sum()) for label, i in positions.items()}
    over |= {f"precision {label}": int((answers == i).sum()) for label, i in positions.items()}
    resampled = [
        Figure(
            name=name,
            value=None if math.isnan(value) else value,
            interval=intervals[name],
            images=over.get(name, len(truth)),
        )
        for name, value in values.items()
    ]
    return (resampled[0], *of_parts, *resampled[1:])


def _counted(
    shares: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
    answers: npt.NDArray[np.int64],
    weights: Real,
    labels: Sequence[str],
) -> dict[str, float]:
    """The figures of images that count as often as their weights say."""
    size = len(labels)
    counts = np.bincount(truth * size + answers, weights, size * size).reshape(size, size)
    hits, seen, claimed = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    recalls = np.divide(hits, seen, out=np.full(size, math.nan), where=seen > 0)
    precisions = np.divide(hits, claimed, out=np.full(size, math.nan), where=claimed > 0)
    return {
        "macro F1": macro_f1(counts),
        "calibration error": calibration_error(
            shares.max(axis=1).astype(np.float64), shares.argmax(axis=1) == truth, weights
        ),
        **{f"recall {label}": float(v) for label, v in zip(labels, recalls, strict=True)},
        **{f"precision {label}": float(v) for label, v in zip(labels, precisions, strict=True)},
    }


def _share(
    name: str,
    hit: npt.NDArray[np.bool_],
    of: npt.NDArray[np.bool_],
    groups: Sequence[str],
    confidence: float,
) -> Figure:
    trials = Trials.of([group for group, taken in zip(groups, of, strict=True) if taken])
    hits = int((hit & of).sum())
    return Figure(
        name=name,
        value=hits / trials.images if trials.images else None,
        interval=trials.interval(hits, confidence) if trials.images else None,
        images=trials.images,
    )
