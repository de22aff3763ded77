"""A week of the simulated line in fast motion, and a station that watches it.

Owns the week's events, the parts that pass, and a station which does to each what the daemon does (gate,
model, drift monitor, retraining rules), but by the line's own time and without a broker. What follows
from it is the business of `benchmarks.drift_demo`. Part i is the same module whatever has become of the
lamp, the lens and the alloy.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Self

import numpy as np

from edge_runtime import policy
from edge_runtime.bundle import DRIFT, MANIFEST, Bundle, open_bundle
from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.retrain import RetrainRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift.statistics import measure
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.inspection import Inspector, Judgement, gate
from edge_runtime.retraining.memory import read_memory
from edge_runtime.retraining.pack import Attachment
from edge_runtime.retraining.rules import Limits
from edge_runtime.retraining.triggers import Triggers
from edge_runtime.retraining.watch import RetrainWatch, Subject
from edge_runtime.simulation.generations import DEFECTS, NO_DEFECT
from edge_runtime.simulation.line import SimulatedLine, SimulatedPart
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from edge_runtime.simulation.wear import Wear

START = datetime(2026, 3, 2, tzinfo=UTC)
"""A Monday."""
DAYS = 7.0
STATION = StationId(line="L07", station="S3")
LIMITS = Limits(warning_hours=48.0, alarm_hours=24.0, labels=0)
"""The station's rules. Slower than a line's own would be: what comes within a day is one request."""
_STEPS = 40
"""Wear is told apart in so many steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happens to the line."""

    name: str
    begins: float
    """Days."""
    ends: float
    """Days; what wears stays as it is from then on, a batch is over."""
    wear: Wear = field(default_factory=Wear)
    """At its end."""
    sudden: bool = False
    defects: float | None = None
    """Share of defective parts meanwhile; None leaves it."""

    def share(self, day: float) -> float:
        """How much of it has come, 0..1."""
        if day < self.begins:
            return 0.0
        return (
            1.0
            if self.sudden or day >= self.ends
            else (day - self.begins) / (self.ends - self.begins)
        )


EVENTS = (
    Event(name="a bad batch", begins=0.8, ends=1.1, defects=0.65),
    Event(name="a lamp ages", begins=1.4, ends=3.6, wear=Wear(lamp=0.35)),
    Event(name="a glossier alloy", begins=2.0, ends=2.0, wear=Wear(gloss=0.75), sudden=True),
    Event(name="the lens gets dirty", begins=2.3, ends=3.6, wear=Wear(dirt=0.5)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """The line; part i passes after i / parts_per_day days."""

    seed: int
    size: int
    """Of a picture, pixels."""
    parts_per_day: int
    defects: float
    """Share of defective parts: more than a real line's, so that some hundred parts say something."""
    events: tuple[Event, ...] = EVENTS

    @property
    def parts(self) -> int:
        """Of the whole week."""
        return round(DAYS * self.parts_per_day)

    def day(self, index: int) -> float:
        """When a part passes, days."""
        return index / self.parts_per_day

    def index(self, day: float) -> int:
        """The first part from then on."""
        return min(self.parts, -(-round(day * self.parts_per_day * 1e6) // 1_000_000))

    def at(self, day: float) -> datetime:
        """The same as a time."""
        return START + timedelta(days=day)

    def wear(self, day: float) -> Wear:
        """What has become of the line."""
        total = {"lamp": 0.0, "dirt": 0.0, "gloss": 0.0}
        for event in self.events:
            for name in total:
                total[name] += event.share(day) * getattr(event.wear, name)
        return Wear(**{name: round(_STEPS * value) / _STEPS for name, value in total.items()})

    def part(self, index: int) -> SimulatedPart:
        """Part i as it looks when it passes."""
        day = self.day(index)
        bad = [e.defects for e in self.events if e.defects and e.begins <= day < e.ends]
        return self._line(bad[0] if bad else self.defects, day).part(index)

    def at_wear(self, index: int, day: float) -> SimulatedPart:
        """Part i as it would look on another day: good, whatever was drawn for it."""
        return self._line(0.0, day).part(index)

    def _line(self, defects: float, day: float) -> SimulatedLine:
        interval_s = CROPS_PER_MODULE * 86_400 / self.parts_per_day
        return _line(self.seed, self.size, defects, self.wear(day), interval_s)


@lru_cache(maxsize=8)
def _line(seed: int, size: int, defects: float, wear: Wear, interval_s: float) -> SimulatedLine:
    return SimulatedLine(
        "gen3",
        seed,
        size=size,
        class_shares=shares(defects),
        corrupt=0.0,
        mislabelled=0.0,
        module_interval_s=interval_s,
        wear=wear,
    )


def shares(defects: float) -> dict[str, float]:
    """Of the classes: all defects alike."""
    return {NO_DEFECT: 1 - defects} | dict.fromkeys(DEFECTS, defects / len(DEFECTS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A part as a station answered it, and what it truly was."""

    index: int
    truth: str
    outcome: str
    label: str


class FastStation:
    """A station with one bundle; time is the line's. Used as a context manager."""

    def __init__(self, bundle: Path, week: Week, state_dir: Path) -> None:
        self.bundle = open_bundle(bundle)
        self._week = week
        self._resources = ExitStack()
        model = self.bundle.manifest.model
        variant = self.bundle.variant(None)
        engine = open_engine("onnxruntime", self.bundle.model_file(variant), model, 1)
        self._resources.enter_context(closing(engine))
        self._model = model
        self._inspector = Inspector(engine, model)
        reference = self.bundle.drift_reference()
        if reference is None:
            raise SystemExit(f"{bundle} has no drift reference")
        self.drift = DriftLog(
            boot_id="drift-demo",
            site="demo",
            station=STATION,
            bundle=self.bundle.title,
            monitor=Monitor(reference, parts_per_day=week.parts_per_day),
        )
        state_dir.mkdir(parents=True, exist_ok=True)
        sha256 = self.bundle.manifest.files[variant.file]
        self.published: list[bytes] = []
        self._watch = RetrainWatch(
            subject=Subject(
                boot_id="drift-demo",
                site="demo",
                station=STATION,
                bundle=self.bundle.title,
                model_sha256=sha256,
                source_sha256=model.provenance.get("source_sha256"),
                made_at=START,
            ),
            triggers=Triggers(
                LIMITS, read_memory(state_dir, bundle=self.bundle.title, model_sha256=sha256)
            ),
            state_dir=state_dir,
            report=self.drift.snapshot,
            attachments=lambda report: _attachments(self.bundle, report),
            publish=self.published.append,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._resources.close()

    def inspect(self, parts: Sequence[SimulatedPart]) -> list[Seen]:
        """Answer a batch of parts that passed one after the other, and watch them."""
        frames = [
            gate(
                Frame(part_id=p.part_id, captured_at=START, arrived=0.0, image=p.encoded),
                self._model.input,
                measure,
            )
            for p in parts
        ]
        judged = self._inspector.judge(frames)
        self.drift.observe(
            self._watched(each, part) for each, part in zip(judged, parts, strict=True)
        )
        return [
            Seen(
                index=part.index,
                truth=part.true_label,
                outcome=each.decision.outcome.value,
                label=each.decision.label or "",
            )
            for each, part in zip(judged, parts, strict=True)
        ]

    def look(self, at: datetime) -> tuple[RetrainRequest, ...]:
        """Let the retrain watch look at that time; the requests that are open."""
        return self._watch.look(at).requests

    def _watched(self, judged: Judgement, part: SimulatedPart) -> Part:
        decision = judged.decision
        return Part(
            at=self._week.at(self._week.day(part.index)),
            statistics=judged.statistics,
            outcome=decision.outcome,
            label=decision.label,
            score=policy.defect_score(decision.scores, self._model) if decision.scores else None,
        )


def _attachments(bundle: Bundle, report: DriftReport) -> Iterator[Attachment]:
    yield Attachment(name="drift.json", content=report.to_json(indent=2).encode())
    yield Attachment(name="manifest.json", content=bundle.path / MANIFEST)
    yield Attachment(name="reference.json", content=bundle.path / DRIFT)


def figures(seen: Sequence[Seen]) -> dict[str, float | None]:
    """What the parts truly show: defect recall, false positives and macro F1."""
    truth = np.array([each.truth for each in seen])
    label = np.array([each.label for each in seen])
    outcome = np.array([each.outcome for each in seen])
    good = truth == NO_DEFECT
    f1 = []
    for name in (NO_DEFECT, *DEFECTS):
        involved = (truth == name).sum() + (label == name).sum()
        if involved:
            f1.append(2 * ((truth == name) & (label == name)).sum() / involved)
    return {
        "defect_recall": float((outcome[~good] != "ok").mean()) if (~good).any() else None,
        "false_positives": float((outcome[good] == "defect").mean()) if good.any() else None,
        "macro_f1": float(np.mean(f1)) if f1 else None,
        "parts": len(seen),
    }
