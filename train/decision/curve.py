"""A frontier shown to people, as a table. The picture of it is `train.evidence.frontier_chart`."""

from collections.abc import Sequence

from train.decision.decide import Requirement
from train.decision.frontier import Frontier, sample

_ROWS = 12


def table(frontier: Frontier, requirement: Requirement, keep: Sequence[int] = ()) -> str:
    """Rows along the frontier, those of `keep` among them and marked."""
    defective, good = frontier.defective, frontier.good
    heads = ("threshold", "recall", "at least ", "false pos.", "at most ", "macro F1")
    lines = ["  ".join(f"{head:>10}" for head in heads)]
    for at in sample(frontier, _ROWS, keep):
        recall, false_positives = frontier.recall_bound[at], frontier.false_positive_bound[at]
        cells = (
            f"{frontier.thresholds[at]:.4f}",
            f"{float(defective.share(frontier.found[at])):.4f}",
            f"{recall:.4f}{_mark(recall >= requirement.min_recall)}",
            f"{float(good.share(frontier.false_positives[at])):.4f}",
            f"{false_positives:.4f}{_mark(false_positives <= requirement.max_false_positives)}",
            f"{frontier.macro_f1[at]:.4f}",
        )
        lines.append("  ".join(f"{cell:>10}" for cell in cells) + " <" * (at in keep))
    return "\n".join(lines)


def _mark(holds: object) -> str:
    return "*" if holds else " "
