"""A made-up station for the monitor: parts whose measures are drawn, and a reference of their kind."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.part import Part
from edge_runtime.drift.series import CERTAINTY, CLASS, NOT_INSPECTED, REVIEW, SCORE
from edge_runtime.drift.statistics import MEASURES, FrameStatistics
from optimize.builder.drift_reference import reference

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
MEANS = {
    "brightness": 140.0,
    "contrast": 5.0,
    "highlights": -6.0,
    "sharpness": 3.3,
    "noise": 2.3,
    "colour": 132.0,
}
DEVIATIONS = dict(zip(MEASURES, (9.0, 0.13, 0.6, 0.3, 0.25, 4.5), strict=True))


def make_reference(
    *, images: int = 2000, line_mix: bool = True, blind: float = 0.0
) -> DriftReference:
    rng = np.random.default_rng(1)
    rows = rng.normal(list(MEANS.values()), list(DEVIATIONS.values()), (images, len(MEASURES)))
    defect = rng.uniform(size=images) < 0.08
    return reference(
        "held-out sha256:0123",
        rows,
        [""] * images,
        {
            NOT_INSPECTED: (np.arange(images) < blind * images).astype(float),
            REVIEW: (rng.uniform(size=images) < 0.02).astype(float),
            f"{CLASS}no_defect": (~defect).astype(float),
            f"{CLASS}spatter": defect.astype(float),
            SCORE: np.where(defect, 0.9, 0.05),
            f"{CERTAINTY}spatter": np.where(defect, 0.9, np.nan),
        },
        line_mix=line_mix,
    )


def parts(
    count: int,
    *,
    first: int = 0,
    shifts: dict[str, float] | None = None,
    defects: float = 0.08,
    review: float = 0.02,
    blind: float = 0.005,
    certain: float = 0.9,
    seed: int = 2,
) -> Iterator[Part]:
    """One part a second; `shifts` in standard deviations of the reference, `certain` of a spatter."""
    rng = np.random.default_rng([seed, first])
    means = [MEANS[name] + (shifts or {}).get(name, 0) * DEVIATIONS[name] for name in MEASURES]
    for number in range(first, first + count):
        at = START + timedelta(seconds=number)
        if rng.uniform() < blind:
            yield Part(
                at=at, statistics=None, outcome=Outcome.NOT_INSPECTED, label=None, score=None
            )
            continue
        row = rng.normal(means, list(DEVIATIONS.values()))
        defect = rng.uniform() < defects
        doubtful = rng.uniform() < review
        yield Part(
            at=at,
            statistics=FrameStatistics(**dict(zip(MEASURES, map(float, row), strict=True))),
            outcome=Outcome.REVIEW if doubtful else Outcome.DEFECT if defect else Outcome.OK,
            label="spatter" if defect else "no_defect",
            score=0.9 if defect else 0.05,
            certain=certain if defect else 0.95,
        )
