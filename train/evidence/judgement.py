"""From the answers of all trials to a comparison: judged, averaged over seeds, set against each other.

Values in, values out. The statistics are those of `train.evidence.learning_curves`.
"""

import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np

from optimize.bounds import Real
from optimize.data.manifest import Sample
from optimize.limits import CONFIDENCE, MAX_FALSE_POSITIVES
from train.data.stream import ImageStore
from train.evidence.comparison import ComparedArm, Comparison, JudgedTrial
from train.evidence.exam import Exam
from train.evidence.learning_curves import Curve, Judges, differences, worths
from train.evidence.plan import Plan
from train.evidence.trials import Answered, Trial
from train.fitting.prediction import classes_of

_RECORDED = ("torch", "timm", "numpy", "opencv-python-headless", "scikit-learn", "edge-inspect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Judging:
    """How answers are judged. No trial depends on it, so it may change when a folder is judged again."""

    max_false_positives: float = MAX_FALSE_POSITIVES
    """Share of good parts that thresholds are chosen within."""
    confidence: float = CONFIDENCE
    """Of the intervals."""
    resamples: int = 1000
    """Draws of groups behind an interval."""


@dataclass(frozen=True, kw_only=True)
class Ground:
    """The target images, and for each seed which of them teach and which are judged."""

    images: ImageStore
    ok_labels: tuple[str, ...]
    exams: Mapping[int, Exam]

    @property
    def samples(self) -> Sequence[Sample]:
        """Of the images, in order."""
        return self.images.dataset.samples

    @property
    def first(self) -> Exam:
        """The exam of the first seed: all of them judge the same images."""
        return next(iter(self.exams.values()))


def compare_answers(
    plan: Plan,
    ground: Ground,
    trials: Sequence[tuple[Trial, Answered]],
    judging: Judging,
    *,
    notes: tuple[str, ...],
    command: str,
    device: str,
) -> Comparison:
    """Judge the trials; raises DatasetError where the judged images allow no choice of thresholds."""
    dataset, first = ground.images.dataset, ground.first
    samples = [ground.samples[index] for index in first.judged]
    judges = Judges(
        dataset.labels,
        ground.ok_labels,
        [sample.group for sample in samples],
        classes_of(ground.images, first.judged),
        max_false_positives=judging.max_false_positives,
        resamples=judging.resamples,
    )
    judged, curves = [], []
    for (arm, share), by_seed in _together(trials).items():
        seeds = {
            seed: _figures(judges, ground.exams[seed], rounds) for seed, rounds in by_seed.items()
        }
        judged += [_judged(arm, share, seed, by_seed[seed], seeds[seed]) for seed in seeds]
        taught = [sum(a.record.images.values()) for rounds in by_seed.values() for a in rounds]
        curves.append(
            Curve(arm=arm, share=share, labels=float(np.mean(taught)), seeds=tuple(seeds.values()))
        )
    whole = first.rounds[0].train
    taught_labels = [ground.samples[index].label for index in whole]
    return Comparison(
        made_at=datetime.now(UTC),
        command=command,
        data_name=plan.target.source.data_dir.name,
        data_sha256=ground.images.sha256,
        model=plan.target.model,
        labels=dataset.labels,
        ok_labels=ground.ok_labels,
        folds=plan.folds,
        taught=dataset.counts if plan.folds else Counter(taught_labels),
        judged=Counter(sample.label for sample in samples),
        judged_groups=len({sample.group for sample in samples}),
        shown=max(trial.shown for trial, _ in trials),
        max_false_positives=judging.max_false_positives,
        confidence=judging.confidence,
        resamples=judging.resamples,
        arms=tuple(_arms(trials)),
        trials=tuple(judged),
        points=tuple(curve.point(judging.confidence) for curve in curves),
        differences=differences(curves, judging.confidence),
        worths=worths(curves, judging.confidence),
        notes=(*notes, *_held_up(judged)),
        device=device,
        versions={"python": platform.python_version()} | {n: version(n) for n in _RECORDED},
    )


def _together(
    trials: Iterable[tuple[Trial, Answered]],
) -> dict[tuple[str, float], dict[int, list[Answered]]]:
    """The rounds of each seed of each arm at each share."""
    found: dict[tuple[str, float], dict[int, list[Answered]]] = {}
    for trial, answered in trials:
        by_seed = found.setdefault((trial.arm.name, trial.portion.share), {})
        by_seed.setdefault(trial.seed, []).append(answered)
    return found


def _figures(judges: Judges, exam: Exam, rounds: Sequence[Answered]) -> dict[str, Real]:
    """Of the answers of all rounds, put together in the order of the judged images."""
    rows = np.concatenate([answered.rows for answered in rounds])
    logits = np.concatenate([answered.logits for answered in rounds])
    return judges.figures(logits[np.argsort(rows)], exam.parts)


def _judged(
    arm: str, share: float, seed: int, rounds: Sequence[Answered], figures: Mapping[str, Real]
) -> JudgedTrial:
    records = [answered.record for answered in rounds]
    return JudgedTrial(
        arm=arm,
        share=share,
        seed=seed,
        images={
            label: float(np.mean([record.images[label] for record in records]))
            for label in records[0].images
        },
        groups=float(np.mean([record.groups for record in records])),
        shown=float(np.mean([record.shown for record in records])),
        held_up=tuple(sorted({label for record in records for label in record.held_up})),
        seconds=sum(record.seconds for record in records),
        figures={
            name: None if np.isnan(drawn[0]) else float(drawn[0]) for name, drawn in figures.items()
        },
    )


def _arms(trials: Iterable[tuple[Trial, Answered]]) -> Iterable[ComparedArm]:
    """In the order in which they were asked for."""
    for trial, answered in {
        trial.arm.name: (trial, answered) for trial, answered in trials
    }.values():
        yield ComparedArm(
            arm=trial.arm,
            initial_weights=answered.record.initial_weights,
            initial_sha256=answered.record.initial_sha256,
        )


def _held_up(judged: Iterable[JudgedTrial]) -> Iterable[str]:
    """Which classes have more labels at some share than the share would give them."""
    shares: dict[str, set[float]] = {}
    for trial in judged:
        for label in trial.held_up:
            shares.setdefault(label, set()).add(trial.share)
    for label, found in sorted(shares.items()):
        yield (
            f"class {label} was held up: at {', '.join(f'{share:g}' for share in sorted(found))} of the "
            "labels it kept a group all the same"
        )
