"""What is agreed before a refresh begins: how much worse a candidate may be, and what else it must show.

Owns the limits and nothing of how they are judged (`train.refresh.judgement`). They are written down
before the first image teaches, so that nobody chooses them by the answers.
"""

from dataclasses import dataclass

from edge_runtime.errors import UsageError
from optimize.limits import CONFIDENCE


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Limits of the acceptance. All are shares, 0..1; margins hold on the old and on the new domain."""

    recall_margin: float = 0.03
    """So much less of the defective parts may be found."""
    false_positive_margin: float = 0.01
    """So much more of the good parts may be answered `defect`."""
    macro_f1_margin: float = 0.03
    """So much lower may the macro F1 be."""
    least_macro_f1: float = 0.5
    """The candidate must reach so much on the new domain: labels that teach nothing which holds on parts
    that were held out are wrong labels, whatever the margins say."""
    confidence: float = CONFIDENCE
    """Of each one-sided bound by itself."""

    def __post_init__(self) -> None:
        for flag, share in (
            ("recall-margin", self.recall_margin),
            ("false-positive-margin", self.false_positive_margin),
            ("macro-f1-margin", self.macro_f1_margin),
        ):
            if not 0 < share < 1:
                raise UsageError(f"--{flag} {share}: expected a share above 0 and below 1")
        if not 0 <= self.least_macro_f1 < 1:
            raise UsageError(
                f"--least-macro-f1 {self.least_macro_f1}: expected a share from 0 to below 1"
            )
        if not 0.5 < self.confidence < 1:
            raise UsageError(
                f"--confidence {self.confidence}: expected a probability above 0.5 and below 1"
            )
