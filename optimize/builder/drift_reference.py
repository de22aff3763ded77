"""The drift reference of a bundle: what the validation images look like, and how they were answered.

Owns how distributions are summed up from images; what is made of them on the line is the business of
`edge_runtime.drift`. Pixels are read once more and one at a time, so memory stays flat.
"""

from collections.abc import Mapping, Sequence
from itertools import compress
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.bundle import DRIFT
from edge_runtime.contracts.drift import DriftReference, Measure, MeasureReference, ShareReference
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.performance import AnswerReference
from edge_runtime.contracts.quality import QualityReference
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.series import CERTAINTY, CLASS, NOT_INSPECTED, REVIEW, SCORE
from edge_runtime.drift.statistics import MEASURES, measure
from edge_runtime.quality.gate import QualityGate
from optimize.answers import Answers
from optimize.builder.answer_reference import answer_reference
from optimize.data.dataset import Dataset
from optimize.data.images import Image, read_images
from optimize.watch import Watch

Floats = npt.NDArray[np.float64]

FEWEST = 30
"""Images; of fewer the mean is known to no better than a fifth of a standard deviation."""
USUAL_NOT_INSPECTED = 0.01
"""Data sets are cleaned and lines are not: so much is no news, however few the images lacked."""
_INNER_BINS = 16
_TAIL_BINS = 4
"""On either side, each one standard deviation wide: where the images end, a shift does not."""


def write_reference(
    folder: Path,
    images: Dataset,
    named: str,
    answers: Answers,
    precision: str,
    spec: ModelSpec,
    watch: Watch,
    *,
    quality: QualityReference | None,
    line_mix: bool,
) -> DriftReference | None:
    """Write `drift.json` from validation images as the variant `precision` answered them.

    `named` is their name and content hash, which takes a pass over their files and was taken before.
    Images beyond the limits of `quality` count as the station will answer them: not inspected. Of fewer
    than FEWEST images there is none, which is said and answered with None.
    """
    if len(answers) < FEWEST:
        watch.note(
            f"warning: drift will not be monitored: {len(answers)} validation images say too little "
            f"of the training domain, {FEWEST} are the fewest"
        )
        return None
    gate = None if quality is None else QualityGate(quality, live=False)
    rows: list[tuple[float, ...]] = []
    rejected: list[bool] = []
    with watch.stage("measuring the drift reference", len(images.samples)) as advanced:
        for item in read_images(images, spec.input):
            if isinstance(item, Image):
                seen = None if gate is None else gate.examine(item.pixels)
                rows.append((measure(item.pixels) if seen is None else seen.statistics).row())
                rejected.append(seen is not None and seen.rejection is not None)
            advanced(1)
    inspected = ~np.array(rejected)
    logits = answers.logits[precision]
    made = reference(
        named,
        np.array(rows),
        answers.groups,
        shares(logits, inspected, len(answers.faults), spec),
        line_mix=line_mix,
        answers=answer_reference(
            logits[inspected],
            list(compress(answers.labels, inspected)),
            list(compress(answers.groups, inspected)),
            spec,
        ),
    )
    (folder / DRIFT).write_text(made.to_json(indent=2) + "\n", encoding="utf-8")
    return made


def reference(
    dataset: str,
    measures: Floats,
    groups: Sequence[str],
    shares_of: Mapping[str, Floats],
    *,
    line_mix: bool,
    answers: AnswerReference | None = None,
) -> DriftReference:
    """Sum up measures (images, len(MEASURES)) and, by name, the values (images,) of each share, NaN of
    an image that has no say in it.

    `groups` names what each image belongs to, the empty string what stands alone; images of one
    group are alike, so that a mean over them is known less well.
    """
    return DriftReference(
        dataset=dataset,
        images=len(measures),
        line_mix=line_mix,
        measures=tuple(
            _measure_reference(cast("Measure", name), measures[:, column], groups)
            for column, name in enumerate(MEASURES)
        ),
        shares=tuple(
            ShareReference(
                name=name,
                mean=max(float(values.mean()), USUAL_NOT_INSPECTED)
                if name == NOT_INSPECTED
                else float(np.clip(np.nanmean(values), 0, 1)),
                effective_images=_effective(values, groups),
            )
            for name, values in shares_of.items()
        ),
        answers=answers,
    )


def shares(
    logits: npt.NDArray[np.float32],
    inspected: npt.NDArray[np.bool_],
    faults: int,
    spec: ModelSpec,
) -> dict[str, Floats]:
    """By name what is counted on the line, of validation images (images, classes) and so many faults.

    Those that are not `inspected` (images,) have no class and no score.
    """
    rows = policy.probabilities(logits, spec.decision.temperature)
    decisions = policy.decide(rows, spec)
    reviewed = np.array([decision.outcome is Outcome.REVIEW for decision in decisions])
    values: dict[str, Floats] = {
        NOT_INSPECTED: np.concatenate((~inspected, np.ones(faults, bool))).astype(np.float64),
        REVIEW: (inspected & reviewed).astype(np.float64),
    }
    for label in spec.labels:
        own = np.array([decision.label == label for decision in decisions])
        values[f"{CLASS}{label}"] = (inspected & own).astype(np.float64)
    values[SCORE] = np.where(inspected, policy.defect_scores(rows, spec), np.nan)
    certain = np.array([decision.scores[str(decision.label)] for decision in decisions])
    for label in spec.labels:
        own = values[f"{CLASS}{label}"] > 0
        if own.sum() >= FEWEST:
            values[f"{CERTAINTY}{label}"] = np.where(own, certain, np.nan)
    return values


def _effective(values: Floats, groups: Sequence[str]) -> float:
    if len(values) != len(groups):
        return float(len(values))
    has = ~np.isnan(values)
    return effective_images(values[has], [g for g, own in zip(groups, has, strict=True) if own])


def effective_images(values: Floats, groups: Sequence[str]) -> float:
    """So many independent images would know the mean of `values` (images,) as well.

    From the scatter between groups: the variance of a mean under cluster sampling. At most as many as
    there are, at least one.
    """
    names = [group or f"\0{index}" for index, group in enumerate(groups)]
    _, members = np.unique(names, return_inverse=True)
    clusters = int(members.max()) + 1
    spread = float(values.var())
    if clusters < 2 or not spread:
        return float(clusters)
    sums = np.bincount(members, weights=values - values.mean())
    variance = clusters / (clusters - 1) * float((sums**2).sum()) / len(values) ** 2
    return float(np.clip(spread / variance, 1.0, len(values))) if variance else float(len(values))


def _measure_reference(name: Measure, values: Floats, groups: Sequence[str]) -> MeasureReference:
    deviation = max(float(values.std()), 1e-3)
    inner = np.quantile(values, np.linspace(0, 1, _INNER_BINS + 1))
    tail = deviation * np.arange(1, _TAIL_BINS + 1)
    edges = np.unique(np.concatenate((inner[0] - tail[::-1], inner, inner[-1] + tail)))
    counts, _ = np.histogram(values, edges)
    return MeasureReference(
        name=name,
        mean=float(values.mean()),
        deviation=deviation,
        effective_images=effective_images(values, groups),
        low=float(np.quantile(values, 0.025)),
        high=float(np.quantile(values, 0.975)),
        edges=tuple(map(float, edges)),
        shares=tuple(map(float, counts / len(values))),
    )
