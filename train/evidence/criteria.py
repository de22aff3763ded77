"""What a customer asks of a model, and whether its figures show it.

Owns the three criteria and the two ways to meet one: by the figure itself, and by the one-sided bound
that holds with confidence for all parts of the line. Values in, values out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edge_runtime.errors import UsageError
from optimize.bounds import Trials
from optimize.limits import MAX_FALSE_POSITIVES, MIN_MACRO_F1, MIN_RECALL
from train.figures.intervals import Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What is asked for. All are shares, 0..1."""

    min_recall: float = MIN_RECALL
    """Of the defective parts, answered `defect` or `review`."""
    max_false_positives: float = MAX_FALSE_POSITIVES
    """Of the good parts, answered `defect`."""
    min_macro_f1: float = MIN_MACRO_F1

    def __post_init__(self) -> None:
        for flag, share in (
            ("min-recall", self.min_recall),
            ("max-false-positives", self.max_false_positives),
            ("min-macro-f1", self.min_macro_f1),
        ):
            if not 0 <= share <= 1:
                raise UsageError(f"--{flag} {share}: expected a share from 0 to 1")


CRITERIA = Criteria()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One criterion and what the images say of it."""

    figure: str
    at_least: bool
    """Whether `limit` is a least value, or a largest one."""
    limit: float
    value: float | None
    """None where the images do not define it; then nothing is met."""
    bound: float | None
    """One-sided, on the side that counts: lower for a least value, upper for a largest."""
    confidence: float
    met_by_value: bool
    met_by_bound: bool

    def sentence(self) -> str:
        """For people."""
        sign, side = (">=", "at least") if self.at_least else ("<=", "at most")
        asked = f"{self.figure} {sign} {self.limit:g}"
        if self.value is None:
            return f"{asked}: not measured, no such images"
        bound = "no bound" if self.bound is None else f"{side} {self.bound:.4f}"
        verdict = (
            "met by the bound"
            if self.met_by_bound
            else "met by the point estimate alone"
            if self.met_by_value
            else "NOT met"
        )
        return (
            f"{asked}: {self.value:.4f}, {bound} with {self.confidence:.0%} confidence: {verdict}"
        )


def judge(bounded: Sequence[Figure], criteria: Criteria, confidence: float) -> tuple[Finding, ...]:
    """Hold the criteria against figures whose intervals end in one-sided bounds of that confidence:
    two-sided ones of `both_sides(confidence)`."""
    by_name = {figure.name: figure for figure in bounded}
    found = []
    for name, at_least, limit in (
        ("defect recall", True, criteria.min_recall),
        ("false positives", False, criteria.max_false_positives),
        ("macro F1", True, criteria.min_macro_f1),
    ):
        figure = by_name.get(name)
        value = figure.value if figure else None
        interval = figure.interval if figure else None
        bound = interval and interval[0 if at_least else 1]

        def meets(share: float | None, at_least: bool = at_least, limit: float = limit) -> bool:
            return share is not None and (share >= limit if at_least else share <= limit)

        found.append(
            Finding(
                figure=name,
                at_least=at_least,
                limit=limit,
                value=value,
                bound=bound,
                confidence=confidence,
                met_by_value=meets(value),
                met_by_bound=meets(bound),
            )
        )
    return tuple(found)


def both_sides(confidence: float) -> float:
    """The two-sided confidence whose ends are one-sided bounds of `confidence` each."""
    return 2 * confidence - 1


def too_few(defective: Trials, good: Trials, criteria: Criteria, confidence: float) -> bool:
    """Whether images could not show the criteria by their bounds even if every answer were right."""
    return bool(
        defective.at_least(defective.images, confidence) < criteria.min_recall
        or good.at_most(0, confidence) > criteria.max_false_positives
    )
