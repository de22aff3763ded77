"""A made-up line and its drift history: parts as they are answered, written as a recorder does."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.manifest import DecisionRule, InputSpec, ModelSpec, Thresholds
from edge_runtime.contracts.performance import Estimated, Figure
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Timings, Verdict
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift_history.period import Tally
from edge_runtime.drift_history.records import Picture, Role
from edge_runtime.drift_history.store import HistoryStore
from edge_runtime.inspection import Answered, Judgement
from edge_runtime.policy import Decision
from tests.edge_runtime.drift.line import START, make_reference, parts
from tests.sample_verdicts import sample_verdict
from tests.tiny_bundle import colour, png

BUNDLE = "weld-seam/1.0.0"
MODEL = ModelSpec(
    labels=("no_defect", "spatter"),
    input=InputSpec(height=32, width=32),
    decision=DecisionRule(
        ok_labels=("no_defect",), thresholds=Thresholds(review_from=0.3, defect_from=0.6)
    ),
    provenance={"origin": "test"},
)


@functools.cache
def reference():
    return make_reference()


def drift_log(*, watching: bool = True) -> DriftLog:
    return DriftLog(
        boot_id="b",
        site="plant",
        station=StationId.parse("L07-S3"),
        bundle=BUNDLE,
        monitor=Monitor(reference(), parts_per_day=86_400) if watching else None,
        instead="" if watching else "switched off (drift_watch = false)",
    )


_SAMPLE = sample_verdict(1)
_PIXELS = colour(150, 140, 130)


def answered(part: Part, number: int = 1, *, bundle: str = BUNDLE) -> Answered:
    """The part as an observer hears of it."""
    inspected = part.score is not None
    score = part.score or 0.0
    scores: Mapping[str, float] = {"no_defect": 1 - score, "spatter": score} if inspected else {}
    verdict: Verdict = _SAMPLE.model_copy(
        update={
            "seq": number,
            "part_id": f"P-{number}",
            "internal_recipe_id": bundle,
            "decided_at": part.at,
            "verdict": part.outcome,
            "label": part.label,
            "scores": scores,
        }
    )
    judgement = Judgement(
        frame=Frame(part_id=f"P-{number}", captured_at=part.at, arrived=0.0, image=b""),
        pixels=_PIXELS if inspected else None,
        decision=Decision(outcome=part.outcome, label=part.label, scores=scores, reason=None),
        decided_at=part.at,
        decided=0.0,
        statistics=part.statistics,
        features=None,
        timings_ms=Timings(wait=0, preprocess=0, infer=0),
    )
    return Answered(verdict=verdict, views=(judgement,))


def spread(stream: Iterable[Part], seconds: float, start: datetime = START) -> Iterator[Part]:
    """The same parts at another pace."""
    for number, part in enumerate(stream):
        yield replace(part, at=start + timedelta(seconds=number * seconds))


def lamp_day(count: int = 7200, seconds: float = 12.0) -> Iterator[Part]:
    """A day in which a new, colder and brighter lamp comes at noon, and later more is rejected."""
    good, bad = count // 2, count // 4
    changed = {"colour": -2.0, "brightness": 0.8}
    yield from spread(
        [
            *parts(good),
            *parts(bad, first=good, shifts=changed),
            *parts(count - good - bad, first=good + bad, shifts=changed, defects=0.25),
        ],
        seconds,
    )


def estimated(report: DriftReport) -> DriftReport:
    """The report with figures as an estimator might find them: worse once something has moved."""
    lost = 0.12 if report.moved else 0.0

    def figure(value: float) -> Figure:
        return Figure(value=value, low=value - 0.04, high=min(1.0, value + 0.03))

    found = Estimated(
        macro_f1=figure(0.93 - lost),
        defect_recall=figure(0.95 - lost),
        false_positive_rate=Figure(value=0.02, low=0.01, high=0.03),
        confidence=0.975,
        parts=4096,
        unreliable=None,
        words=f"estimated: macro F1 {0.93 - lost:.2f}",
    )
    return report.model_copy(update={"estimated": found})


def write_history(
    folder: Path,
    stream: Iterable[Part],
    drift: DriftLog | None = None,
    bundle: str = BUNDLE,
    also: Callable[[DriftReport], DriftReport] = lambda report: report,
) -> HistoryStore:
    """The history of these parts below `folder`, minute by minute; the store is left open."""
    drift = drift or drift_log()
    store = HistoryStore(folder)
    golden = [
        Picture(role=Role.TRAINING, at=START, caption=name, image=png(colour(*shade)))
        for name, shade in (("no_defect", (150, 140, 130)), ("spatter", (120, 120, 120)))
    ]
    store.begin(bundle, reference(), golden)
    tally = Tally(MODEL, reference())
    for number, part in enumerate(stream, start=1):
        heard = answered(part, number, bundle=bundle)
        if not tally.takes(part.at):
            _write(store, tally, also(drift.snapshot()), heard)
            tally = Tally(MODEL, reference())
        tally.add(heard.verdict, [part.statistics])
        drift.observe([part])
    _write(store, tally, also(drift.snapshot()), heard)
    return store


def _write(store: HistoryStore, tally: Tally, report: DriftReport, heard: Answered) -> None:
    period = tally.period(report)
    assert period is not None
    shade = colour(120, 140, 190) if report.moved else colour(150, 140, 130)
    picture = Picture(
        role=Role.RECENT,
        at=heard.verdict.decided_at,
        caption=f"{heard.verdict.part_id}: {heard.verdict.verdict.value}",
        image=png(np.asarray(shade, np.uint8)),
    )
    store.append(period, report.model_copy(update={"at": period.ended}), picture)
