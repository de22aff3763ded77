"""What quantisation did to the verdicts, and whether that may go on the line.

Arrays in, values out; no I/O. Everything is judged at the deployed decision rule, by the runtime's own
policy: a logit that is off by 0.3 matters where it changes a verdict and nowhere else.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import AccuracyRecord, ModelSpec
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.policy import Decision
from optimize.errors import GateFailed


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """One image on which two variants give different verdicts."""

    path: str
    label: str
    """What it was labelled as."""
    before: Decision
    after: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    """Whether a variant passed, and on which evidence."""

    images: int
    flips: tuple[Flip, ...]
    allowed: int
    """Flips that would still have passed."""

    @property
    def passed(self) -> bool:
        """Whether the verdicts may change as they did."""
        return len(self.flips) <= self.allowed


def decisions(logits: npt.NDArray[np.float32], spec: ModelSpec) -> tuple[Decision, ...]:
    """The decision about each row of logits (N, classes) float32."""
    rows = policy.probabilities(logits, spec.decision.temperature)
    return tuple(policy.decide(row, spec) for row in rows)


def find_flips(
    paths: Sequence[str],
    labels: Sequence[str],
    before: Sequence[Decision],
    after: Sequence[Decision],
) -> tuple[Flip, ...]:
    """The images whose outcome (`ok`, `defect`, `review`) changed, in order."""
    return tuple(
        Flip(path=path, label=label, before=old, after=new)
        for path, label, old, new in zip(paths, labels, before, after, strict=True)
        if old.outcome is not new.outcome
    )


def judge(flips: Sequence[Flip], images: int, max_flips: float) -> GateResult:
    """Hold the flips against the agreed share of images (0..1); raises GateFailed without images."""
    if images < 1:
        raise GateFailed("no image was left to compare verdicts on: an unmeasured model is refused")
    return GateResult(images=images, flips=tuple(flips), allowed=int(max_flips * images + 1e-9))


def accuracy(
    dataset: str,
    labels: Sequence[str],
    answers: Sequence[Decision],
    flips: int,
    spec: ModelSpec,
) -> AccuracyRecord:
    """What the answers reach against labels that are all known to the model; N >= 1 images."""
    good = spec.decision.ok_labels
    outcomes = [answer.outcome for answer in answers]
    on_good = [o for o, label in zip(outcomes, labels, strict=True) if label in good]
    on_bad = [o for o, label in zip(outcomes, labels, strict=True) if label not in good]
    return AccuracyRecord(
        dataset=dataset,
        images=len(answers),
        macro_f1=macro_f1(labels, [answer.label for answer in answers]),
        defect_recall=_share(on_bad, Outcome.DEFECT, Outcome.REVIEW) if good else None,
        false_positive_rate=_share(on_good, Outcome.DEFECT),
        review_rate=_share(outcomes, Outcome.REVIEW) or 0.0,
        flips=flips,
    )


def macro_f1(truth: Sequence[str], answers: Sequence[str | None]) -> float:
    """Mean F1 over the classes that occur in either; every class weighs the same."""
    scores = []
    for label in sorted({*truth, *(answer for answer in answers if answer is not None)}):
        hits = sum(t == label == a for t, a in zip(truth, answers, strict=True))
        claims = sum(a == label for a in answers) + sum(t == label for t in truth)
        scores.append(2 * hits / claims)
    return float(np.mean(scores)) if scores else 0.0


def sqnr_db(reference: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Signal to quantisation noise of logits (N, classes), dB; the signal is what varies per image."""
    signal = float(((reference - reference.mean(axis=0)) ** 2).sum())
    noise = float(((reference - other) ** 2).sum())
    return 10 * float(np.log10(max(signal, 1e-12) / max(noise, 1e-12)))


def _share(outcomes: Sequence[Outcome], *counted: Outcome) -> float | None:
    if not outcomes:
        return None
    return sum(outcome in counted for outcome in outcomes) / len(outcomes)
