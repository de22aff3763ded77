"""How good answers are, counted: macro F1, defect recall, false positives, confusion.

Values in, values out. Answers are those of `edge_runtime.policy`, the rule that decides on the line; a
part for review counts as its likeliest defect class in the confusion matrix, as found in the recall, and
not as a false positive.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Figures over one set of labelled images."""

    images: int
    macro_f1: float
    """Mean F1 over the classes that occur, in truth or as an answer."""
    defect_recall: float | None
    """Share of defective parts answered `defect` or `review`; None without ok labels or defects."""
    false_positive_rate: float | None
    """Share of good parts answered `defect`; None where no good part was seen."""
    review_rate: float
    """Share of all parts answered `review`."""
    recall: Mapping[str, float | None]
    """Per class: share answered with that very class; None where none was seen."""
    confusion: tuple[tuple[int, ...], ...]
    """Counts [truth][answer], in the order of the labels."""

    def summary(self) -> str:
        """One line."""
        return (
            f"macro F1 {self.macro_f1:.3f}, defect recall {_share(self.defect_recall)}, "
            f"false positives {_share(self.false_positive_rate)}, "
            f"for review {self.review_rate:.3f}, {self.images} images"
        )


def measure(
    logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], model: ModelSpec
) -> Metrics:
    """Decide about each row of logits (N >= 1, classes) and count against the true classes (N,)."""
    probabilities = policy.probabilities(logits, model.decision.temperature)
    decisions = policy.decide(probabilities, model)
    outcomes = np.array([decision.outcome for decision in decisions])
    positions = {label: position for position, label in enumerate(model.labels)}
    answers = np.array([positions[decision.label or ""] for decision in decisions])
    counts = confusion(truth, answers, len(model.labels))
    good = np.isin(truth, [positions[label] for label in model.decision.ok_labels])
    has_ok = bool(model.decision.ok_labels)
    return Metrics(
        images=len(truth),
        macro_f1=macro_f1(counts),
        defect_recall=_mean(outcomes[~good] != Outcome.OK) if has_ok else None,
        false_positive_rate=_mean(outcomes[good] == Outcome.DEFECT),
        review_rate=float(np.mean(outcomes == Outcome.REVIEW)),
        recall=dict(zip(model.labels, _recall(counts), strict=True)),
        confusion=tuple(tuple(int(value) for value in row) for row in counts),
    )


def reachable_f1(
    logits: npt.NDArray[np.float32], truth: npt.NDArray[np.int64], model: ModelSpec
) -> float:
    """The macro F1 that the best of 200 thresholds on the defect score gives, its limits aside.

    It tells one network from another where the rule's own figures hang on the one or two good parts that
    its limits allow. Without ok labels there is no threshold: the likeliest class counts.
    """
    shares = policy.probabilities(logits, model.decision.temperature)
    is_good = np.isin(model.labels, model.decision.ok_labels)
    if not is_good.any():
        return macro_f1(confusion(truth, shares.argmax(axis=1), len(model.labels)))
    scores = policy.defect_scores(shares, model)
    likeliest_good = np.where(is_good, shares, -1).argmax(axis=1)
    likeliest_defect = np.where(is_good, -1, shares).argmax(axis=1)
    thresholds = np.unique(np.quantile(scores, np.linspace(0, 1, 200)))
    return max(
        macro_f1(
            confusion(
                truth,
                np.where(scores >= threshold, likeliest_defect, likeliest_good),
                len(model.labels),
            )
        )
        for threshold in thresholds
    )


def confusion(
    truth: npt.NDArray[np.int64], answers: npt.NDArray[np.int64], classes: int
) -> npt.NDArray[np.int64]:
    """Counts (classes, classes): [truth][answer]."""
    flat = np.bincount(truth * classes + answers, minlength=classes * classes)
    return flat.reshape(classes, classes)


def macro_f1(counts: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> float:
    """Mean F1 over the classes that occur as truth or as answer; 0 for an empty matrix."""
    return float(macro_f1s(counts[None])[0])


def macro_f1s(
    counts: npt.NDArray[np.int64] | npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """`macro_f1` of each of many matrices (N, classes, classes), as (N,)."""
    hits = np.diagonal(counts, axis1=1, axis2=2)
    involved = counts.sum(axis=1) + counts.sum(axis=2)
    f1 = np.divide(2 * hits, involved, out=np.zeros(hits.shape), where=involved > 0)
    occurring = (involved > 0).sum(axis=1)
    return np.asarray(f1.sum(axis=1) / np.maximum(occurring, 1))


def confusion_table(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """The confusion matrix as text: a row per true class, a column per answer, recall at the end."""
    width = max(6, *(len(label) for label in labels))
    lines = [
        f"{'truth':<{width}}  " + " ".join(f"{label:>{width}}" for label in labels) + "  recall"
    ]
    for label, row, recall in zip(labels, counts, _recall(np.asarray(counts)), strict=True):
        cells = " ".join(f"{value:>{width}}" for value in row)
        lines.append(f"{label:<{width}}  {cells}  {_share(recall)}")
    return "\n".join(lines)


def _recall(counts: npt.NDArray[np.int64]) -> list[float | None]:
    seen = counts.sum(axis=1)
    return [
        float(hit / total) if total else None
        for hit, total in zip(counts.diagonal(), seen, strict=True)
    ]


def _mean(values: npt.NDArray[np.bool_]) -> float | None:
    return float(values.mean()) if len(values) else None


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
