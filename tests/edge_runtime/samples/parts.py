"""Parts as a station answers them, for tests of what is kept of them."""

import itertools
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np

from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.verdict import Outcome, Timings, Verdict
from edge_runtime.drift.statistics import FrameStatistics, measure
from edge_runtime.inspection import Answered, Judgement
from edge_runtime.policy import Decision

LABELS = ("no_defect", "crack", "stain")
MODEL = ModelSpec(
    labels=LABELS,
    input=InputSpec(height=32, width=32),
    decision=DecisionRule(
        ok_labels=("no_defect",), thresholds=Thresholds(review_from=0.3, defect_from=0.7)
    ),
    provenance={},
)
BEGAN = datetime(2026, 1, 5, 6, 0, tzinfo=UTC)
TIMINGS = Timings(wait=1, preprocess=1, infer=1)


def picture(number: int) -> np.ndarray:
    """A frame (32, 32, 3) that no other number has."""
    random = np.random.default_rng(number)
    blocks = random.integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return np.asarray(np.kron(blocks, np.ones((4, 4, 1), np.uint8)), np.uint8)


def part(
    seq: int,
    *,
    defect: float = 0.01,
    label: str | None = None,
    outcome: Outcome = Outcome.OK,
    image: bytes | np.ndarray | Unreadable | None = None,
    rejection: str | None = None,
    statistics: FrameStatistics | None = None,
    at: datetime | None = None,
    now: float | None = None,
    features: np.ndarray | None = None,
    frames: int = 1,
    boot_id: str = "9d5a1f0e-7a4b-4a53-8f0a-0d8f5b5e1c11",
) -> Answered:
    """Part `seq`, decided `seq` seconds after BEGAN with the defect score `defect`, or turned away."""
    if outcome is not Outcome.OK and rejection is None:
        label = label or "crack"
    label = None if rejection else label or "no_defect"
    scores: Mapping[str, float] = {}
    if rejection is None:
        scores = dict(zip(LABELS, (1 - defect, defect * 0.9, defect * 0.1), strict=True))
    moment = at or BEGAN + timedelta(seconds=seq)
    verdict = Verdict(
        seq=seq,
        result_id=f"{boot_id}:{seq}",
        is_simulated=True,
        boot_id=boot_id,
        site="plant",
        line="L07",
        station="S3",
        part_id=f"M{seq // 4:06d}-{seq % 4}",
        internal_recipe_id="tiny/1.0.0",
        captured_at=moment,
        decided_at=moment,
        verdict=Outcome.NOT_INSPECTED if rejection else outcome,
        label=label,
        reason=rejection,
        scores=scores,
        thresholds=MODEL.decision.thresholds,
        model_sha256="a" * 64,
        config_sha256="b" * 64,
        timings_ms=TIMINGS,
    )
    shown = picture(seq) if image is None else image
    pixels = shown if isinstance(shown, np.ndarray) and rejection is None else None
    if isinstance(shown, bytes) and rejection is None:
        pixels = picture(seq)
    view = Judgement(
        frame=Frame(
            part_id=verdict.part_id,
            captured_at=moment,
            arrived=time.monotonic(),
            image=shown,
        ),
        pixels=pixels,
        decision=Decision(
            outcome=verdict.verdict, label=label, scores=scores, reason=verdict.reason
        ),
        decided_at=moment,
        decided=float(seq) if now is None else now,
        statistics=statistics,
        features=features,
        timings_ms=TIMINGS,
    )
    return Answered(verdict=verdict, views=tuple(itertools.repeat(view, frames)))


def measured(number: int) -> FrameStatistics:
    """What the picture of that number measures."""
    return measure(picture(number))
