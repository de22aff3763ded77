"""What a variant does to the verdicts, and whether that may go on the line.

Arrays in, values out; no I/O. Everything is judged at the deployed decision rule, by the runtime's own
policy: a logit that is off by 0.3 matters where it changes a verdict and nowhere else. Three questions
are asked of each variant:

- how many verdicts differ from the float model's (flips), against an agreed share;
- whether defect recall and false positives keep their limits with confidence, by one-sided bounds, which
  images that are missing or few do not;
- whether a class is recognised less often than the float model's own lower bound for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edge_runtime import policy
from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.manifest import AccuracyRecord, ModelSpec, Probability
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.policy import Decision
from optimize.bounds import Trials
from optimize.errors import GateFailed
from optimize.limits import CONFIDENCE, MAX_FALSE_POSITIVES, MIN_RECALL

RECALL = "defect recall"
FALSE_POSITIVES = "false positives"


class Limits(Contract):
    """What a variant must keep. All are shares, 0..1."""

    max_flips: Probability = 0.02
    """Of the images, those whose verdict may differ from float32's."""
    min_recall: Probability = MIN_RECALL
    """Of the defective parts, answered `defect` or `review`."""
    max_false_positives: Probability = MAX_FALSE_POSITIVES
    """Of the good parts, answered `defect`."""
    confidence: Annotated[float, Field(ge=0.5, lt=1)] = CONFIDENCE
    """Of each one-sided bound by itself."""


class Answer(Contract):
    """What a variant says of one image."""

    outcome: Outcome
    label: str | None
    defect_score: float

    @classmethod
    def of(cls, decision: Decision, model: ModelSpec) -> "Answer":
        """From a decision, with the score that the thresholds were held against."""
        score = round(policy.defect_score(decision.scores, model), 4)
        return cls(outcome=decision.outcome, label=decision.label, defect_score=score)

    def words(self) -> str:
        """`review crack 0.412`."""
        return f"{self.outcome} {self.label or '-'} {self.defect_score:.3f}"


class Flip(Contract):
    """One image on which two variants give different verdicts."""

    path: str
    label: str
    """What it was labelled as."""
    before: Answer
    after: Answer


class Bound(Contract):
    """A share of the validation images, and what it is for the line with confidence."""

    figure: str
    hits: int
    images: int
    groups: int
    bound: float
    """One-sided: at least this share, or at most; images of one group count as alike."""
    at_least: bool
    limit: float

    @property
    def value(self) -> float | None:
        """The share itself; None without images."""
        return self.hits / self.images if self.images else None

    @property
    def held(self) -> bool:
        """Whether the bound keeps the limit; without images it does not."""
        return self.bound >= self.limit if self.at_least else self.bound <= self.limit

    def sentence(self) -> str:
        """For people."""
        sign, side = (">=", "at least") if self.at_least else ("<=", "at most")
        if not self.images:
            return f"{self.figure} {sign} {self.limit:g}: no such image"
        return (
            f"{self.figure} {sign} {self.limit:g}: {self.hits} of {self.images} = {self.value:.4f}, "
            f"{side} {self.bound:.4f}: {'held' if self.held else 'NOT held'}"
        )


class ClassRecall(Contract):
    """How often the images of one class are answered with that class."""

    label: str
    images: int
    before: int
    """Right answers of the float model."""
    after: int
    """Right answers of the variant."""
    at_least: float
    """One-sided lower bound on the variant's share."""
    floor: float
    """One-sided lower bound on the float model's share: below it the variant has lost the class."""

    @property
    def held(self) -> bool:
        """Whether the variant's share lies no lower than the float model may lie itself."""
        return not self.images or self.after / self.images >= self.floor


class Judgement(Contract):
    """Whether a variant passes, and on which evidence."""

    precision: str
    images: int
    flips: tuple[Flip, ...]
    allowed: int
    """Flips that still pass."""
    bounds: tuple[Bound, ...]
    """Empty where the model calls no class good: then there is neither recall nor a false alarm."""
    classes: tuple[ClassRecall, ...]
    macro_f1: float
    sqnr_db: float
    """Signal to quantisation noise of the logits; for the record, nothing is decided by it."""

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against the variant, one sentence each."""
        found = []
        if len(self.flips) > self.allowed:
            found.append(
                f"{len(self.flips)} of {self.images} verdicts differ from float32's, "
                f"{self.allowed} were agreed"
            )
        found += [bound.sentence() for bound in self.bounds if not bound.held]
        found += [
            f"{row.label}: recognised in {row.after} of {row.images}, float32 in {row.before}, "
            f"which leaves no less than {row.floor:.3f}"
            for row in self.classes
            if not row.held
        ]
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether the variant may go on the line."""
        return not self.faults


def decisions(logits: npt.NDArray[np.float32], spec: ModelSpec) -> tuple[Decision, ...]:
    """The decision about each row of logits (N, classes) float32."""
    rows = policy.probabilities(logits, spec.decision.temperature)
    return policy.decide(rows, spec)


def find_flips(
    paths: Sequence[str],
    labels: Sequence[str],
    before: Sequence[Decision],
    after: Sequence[Decision],
    spec: ModelSpec,
) -> tuple[Flip, ...]:
    """The images whose verdict changed, in order."""
    return tuple(
        Flip(path=path, label=label, before=Answer.of(old, spec), after=Answer.of(new, spec))
        for path, label, old, new in zip(paths, labels, before, after, strict=True)
        if differ(old, new, spec)
    )


def count_flips(before: Sequence[Decision], after: Sequence[Decision], spec: ModelSpec) -> int:
    """How many verdicts differ."""
    return sum(differ(old, new, spec) for old, new in zip(before, after, strict=True))


def differ(before: Decision, after: Decision, spec: ModelSpec) -> bool:
    """Whether a verdict changed: its outcome (`ok`, `defect`, `review`).

    Where every class is a defect the outcome is always the same; there the class is the verdict.
    """
    if before.outcome is not after.outcome:
        return True
    return not spec.decision.ok_labels and before.label != after.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The images that a variant is judged on; each sequence has one entry per image."""

    paths: Sequence[str]
    labels: Sequence[str]
    """All known to the model."""
    groups: Sequence[str]
    """Images of one group (the crops of one module) are not independent."""


def judge(
    precision: str,
    seen: Validation,
    reference: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
    spec: ModelSpec,
    limits: Limits,
) -> Judgement:
    """Hold a variant's logits against the float model's, both (N, classes) float32 on the same images.

    Raises GateFailed without images.
    """
    if not len(seen.paths):
        raise GateFailed("no image was left to compare verdicts on: an unmeasured model is refused")
    before, after = decisions(reference, spec), decisions(logits, spec)
    return Judgement(
        precision=precision,
        images=len(seen.paths),
        flips=find_flips(seen.paths, seen.labels, before, after, spec),
        allowed=int(limits.max_flips * len(seen.paths) + 1e-9),
        bounds=_bounds(seen, after, spec, limits) if spec.decision.ok_labels else (),
        classes=tuple(_recall(label, seen, before, after, limits) for label in spec.labels),
        macro_f1=macro_f1(seen.labels, [answer.label for answer in after]),
        sqnr_db=sqnr_db(reference, logits),
    )


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


def _bounds(
    seen: Validation, answers: Sequence[Decision], spec: ModelSpec, limits: Limits
) -> tuple[Bound, ...]:
    bad = [index for index, label in enumerate(seen.labels) if label not in spec.decision.ok_labels]
    good = [index for index, label in enumerate(seen.labels) if label in spec.decision.ok_labels]
    found = sum(answers[index].outcome in (Outcome.DEFECT, Outcome.REVIEW) for index in bad)
    false = sum(answers[index].outcome is Outcome.DEFECT for index in good)
    defective = Trials.of([seen.groups[index] for index in bad])
    sound = Trials.of([seen.groups[index] for index in good])
    return (
        Bound(
            figure=RECALL,
            hits=found,
            images=defective.images,
            groups=defective.groups,
            bound=float(defective.at_least(found, limits.confidence)),
            at_least=True,
            limit=limits.min_recall,
        ),
        Bound(
            figure=FALSE_POSITIVES,
            hits=false,
            images=sound.images,
            groups=sound.groups,
            bound=float(sound.at_most(false, limits.confidence)),
            at_least=False,
            limit=limits.max_false_positives,
        ),
    )


def _recall(
    label: str,
    seen: Validation,
    before: Sequence[Decision],
    after: Sequence[Decision],
    limits: Limits,
) -> ClassRecall:
    members = [index for index, given in enumerate(seen.labels) if given == label]
    trials = Trials.of([seen.groups[index] for index in members])
    was = sum(before[index].label == label for index in members)
    now = sum(after[index].label == label for index in members)
    return ClassRecall(
        label=label,
        images=len(members),
        before=was,
        after=now,
        at_least=float(trials.at_least(now, limits.confidence)),
        floor=float(trials.at_least(was, limits.confidence)),
    )


def _share(outcomes: Sequence[Outcome], *counted: Outcome) -> float | None:
    if not outcomes:
        return None
    return sum(outcome in counted for outcome in outcomes) / len(outcomes)
