"""What a station saw and answered in a minute or an hour: parts in, one row of numbers out.

Values in, values out. A row may be read by another version than the one that wrote it, so unlike what is
published it passes over fields that it does not know.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final, Self

from pydantic import Field

from edge_runtime import policy
from edge_runtime.contracts.base import Contract, UtcTime
from edge_runtime.contracts.drift import DriftLevel, DriftReference, DriftReport, Share
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.performance import Figures
from edge_runtime.contracts.verdict import Outcome, Verdict
from edge_runtime.drift.levels import highest
from edge_runtime.drift.statistics import MEASURES, FrameStatistics

MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
Count = Annotated[int, Field(ge=0)]


class MeasureCourse(Contract, extra="ignore"):
    """One image statistic over a period."""

    mean: float
    """On the measure's own scale: `edge_runtime.drift.statistics.FrameStatistics`."""
    affected: Share
    """Share of the frames outside of where 95 % of the reference lies."""


class KeptFigures(Figures, extra="ignore"):
    """Estimated or measured figures, without what is said about them."""

    @classmethod
    def of(cls, figures: Figures | None) -> Self | None:
        """Those of a report."""
        return None if figures is None else cls.model_validate(figures.model_dump())


class Period(Contract, extra="ignore"):
    """The parts of a minute, or of an hour where minutes are no longer kept."""

    began: UtcTime
    """When the first of its parts was decided."""
    ended: UtcTime
    """When the last one was."""
    bundle: str
    """`NAME/VERSION` that decided."""
    parts: Annotated[int, Field(ge=1)]
    outcomes: Mapping[Outcome, Count]
    labels: Mapping[str, Count]
    """Parts by the class that was decided for."""
    score: Share | None
    """Mean defect score of the parts that were inspected; null where none was."""
    seen: Count
    """Frames that were measured."""
    measures: Mapping[str, MeasureCourse]
    level: DriftLevel
    """The gravest of the period."""
    effects: Mapping[str, float]
    """As in `DriftReport`, at the period's end."""
    estimated: KeptFigures | None = None
    """Likewise."""
    measured: KeptFigures | None = None
    """Likewise."""

    @property
    def inspected(self) -> int:
        """Parts with a score."""
        return self.parts - self.outcomes.get(Outcome.NOT_INSPECTED, 0)


class Tally:
    """Counts the parts of one minute; a part costs a few additions."""

    def __init__(self, model: ModelSpec, reference: DriftReference | None) -> None:
        self._model = model
        kept = {} if reference is None else {each.name: each for each in reference.measures}
        self._limits = [
            (kept[name].low, kept[name].high) if name in kept else (float("-inf"), float("inf"))
            for name in MEASURES
        ]
        self._first: Verdict | None = None
        self._last: Verdict | None = None
        self._outcomes: Counter[Outcome] = Counter()
        self._labels: Counter[str] = Counter()
        self._score = 0.0
        self._seen = 0
        self._sums = [0.0] * len(MEASURES)
        self._outside = [0] * len(MEASURES)

    def takes(self, decided_at: datetime) -> bool:
        """Whether a part that was decided then belongs to this minute; the first always does."""
        if self._first is None:
            return True
        return floored(decided_at, MINUTE) == floored(self._first.decided_at, MINUTE)

    def add(self, verdict: Verdict, frames: Iterable[FrameStatistics | None]) -> None:
        """Take in a part, in the order of the line, with what was measured of its frames."""
        self._first, self._last = self._first or verdict, verdict
        self._outcomes[verdict.verdict] += 1
        if verdict.label is not None:
            self._labels[verdict.label] += 1
        if verdict.scores:
            self._score += policy.defect_score(verdict.scores, self._model)
        for statistics in frames:
            if statistics is not None:
                self._seen += 1
                for index, value in enumerate(statistics.row()):
                    self._sums[index] += value
                    low, high = self._limits[index]
                    self._outside[index] += not low <= value <= high

    def period(self, report: DriftReport) -> Period | None:
        """The row, with the drift as it stands; None of no parts."""
        if self._first is None or self._last is None:
            return None
        parts, seen = self._outcomes.total(), self._seen
        inspected = parts - self._outcomes[Outcome.NOT_INSPECTED]
        return Period(
            began=self._first.decided_at,
            ended=self._last.decided_at,
            bundle=self._first.internal_recipe_id,
            parts=parts,
            outcomes=self._outcomes,
            labels=self._labels,
            score=min(1.0, self._score / inspected) if inspected else None,
            seen=seen,
            measures={
                name: MeasureCourse(mean=total / seen, affected=outside / seen)
                for name, total, outside in zip(MEASURES, self._sums, self._outside, strict=True)
                if seen
            },
            level=report.level,
            effects=report.effects,
            estimated=KeptFigures.of(report.estimated),
            measured=KeptFigures.of(report.measured),
        )


def floored(moment: datetime, step: timedelta) -> datetime:
    """The beginning of the minute, hour or other part of a day that a moment lies in."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // step * step


def merged(periods: Sequence[Period]) -> Period:
    """One row over several of one bundle, in the order of time; at least one."""
    inspected = sum(each.inspected for each in periods)
    scores = sum(each.score * each.inspected for each in periods if each.score is not None)
    outcomes: Counter[Outcome] = Counter()
    labels: Counter[str] = Counter()
    for each in periods:
        outcomes.update(each.outcomes)
        labels.update(each.labels)
    return Period(
        began=periods[0].began,
        ended=periods[-1].ended,
        bundle=periods[-1].bundle,
        parts=sum(each.parts for each in periods),
        outcomes=outcomes,
        labels=labels,
        score=min(1.0, scores / inspected) if inspected else None,
        seen=sum(each.seen for each in periods),
        measures={
            name: _merged_course(
                [(e.measures[name], e.seen) for e in periods if name in e.measures]
            )
            for name in dict.fromkeys(name for each in periods for name in each.measures)
        },
        level=highest(each.level for each in periods),
        effects=periods[-1].effects,
        estimated=periods[-1].estimated,
        measured=periods[-1].measured,
    )


def _merged_course(courses: Sequence[tuple[MeasureCourse, int]]) -> MeasureCourse:
    seen = sum(count for _, count in courses)
    return MeasureCourse(
        mean=sum(course.mean * count for course, count in courses) / seen,
        affected=min(1.0, sum(course.affected * count for course, count in courses) / seen),
    )
