"""The declared rules: what must hold, and for how long, before a station asks for a retraining.

Owns the rules' meaning and their words; `triggers` keeps them over time. A rule looks at one observation
and says yes, no, or that it cannot know. Values in, values out.

The drift rule heeds what the pictures look like, and how sure the model is of each class. A batch that
is simply bad moves the shares of classes and the scores, and is news for the process: a model that
judges it rightly need not be taught anew.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from edge_runtime.contracts.drift import DriftLevel, DriftReport, Moved
from edge_runtime.contracts.retrain import RuleName
from edge_runtime.drift.levels import highest
from edge_runtime.drift.series import CLASS, NOT_INSPECTED, REVIEW, SCORE

_OF_ANSWERS = (NOT_INSPECTED, REVIEW, SCORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """A figure of the present model: where it lies with confidence, 0..1."""

    low: float
    value: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What a station knows at one time; None is what it does not know."""

    at: datetime
    """UTC."""
    level: DriftLevel | None
    """Of what the pictures look like."""
    summary: str
    """What has moved of that, in the drift report's words."""
    recall: Bounds | None
    """Of defective parts, estimated or measured."""
    false_positives: Bounds | None
    labels: int | None
    """Labels that came back since the bundle runs."""
    model_made_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The declared limits, the `[retrain]` table of a station's configuration; 0 switches a rule off."""

    warning_hours: float = 24.0
    alarm_hours: float = 1.0
    min_recall: float = 0.85
    max_false_positives: float = 0.03
    figure_hours: float = 4.0
    labels: int = 1000
    days: int = 0
    cool_down_hours: float = 72.0
    """Between two requests of one rule at least."""


class Rule(Protocol):
    """One rule."""

    @property
    def asked(self) -> str:
        """What it asks, in one line; empty where it is off."""
        ...

    @property
    def longest(self) -> timedelta:
        """The longest that its cause has to hold, and has to be gone before it can fire again."""
        ...

    def hold(self, seen: Observation) -> timedelta | None:
        """For how long what is seen has to hold; None where its cause is not there."""
        ...

    def knows(self, seen: Observation) -> bool:
        """Whether the observation says anything about the cause."""
        ...

    def words(self, seen: Observation) -> str:
        """Why it fires, in one line."""
        ...


def rules(limits: Limits) -> Mapping[RuleName, Rule]:
    """All rules, in the order in which they are told."""
    hours = timedelta(hours=limits.figure_hours)
    return MappingProxyType(
        {
            "drift": _Drift(
                timedelta(hours=limits.warning_hours), timedelta(hours=limits.alarm_hours)
            ),
            "recall": _Recall(limits.min_recall, hours),
            "false_positives": _FalsePositives(limits.max_false_positives, hours),
            "labels": _Labels(limits.labels),
            "calendar": _Calendar(limits.days),
        }
    )


def moved_in_pictures(report: DriftReport) -> tuple[Moved, ...]:
    """What has moved of what the pictures look like, in the report's order."""
    return tuple(each for each in report.moved if not _of_answers(each.statistic))


def level_of_pictures(report: DriftReport) -> DriftLevel | None:
    """The gravest level of that; None where nothing is monitored."""
    if report.level is DriftLevel.NOT_MONITORED:
        return None
    return highest(each.level for each in moved_in_pictures(report))


def _of_answers(statistic: str) -> bool:
    return statistic in _OF_ANSWERS or statistic.startswith(CLASS)


@dataclass(frozen=True, slots=True)
class _Drift:
    warning: timedelta
    alarm: timedelta

    @property
    def asked(self) -> str:
        asked = [
            f"{level} for {_hours(held)}"
            for level, held in (("warning", self.warning), ("alarm", self.alarm))
            if held
        ]
        return f"pictures drift: {' or '.join(asked)}" if asked else ""

    @property
    def longest(self) -> timedelta:
        return max(self.warning, self.alarm)

    def knows(self, seen: Observation) -> bool:
        return seen.level is not None

    def hold(self, seen: Observation) -> timedelta | None:
        if seen.level is DriftLevel.ALARM and self.alarm:
            return self.alarm
        held = seen.level in (DriftLevel.WARNING, DriftLevel.ALARM) and self.warning
        return self.warning if held else None

    def words(self, seen: Observation) -> str:
        return f"drift {seen.level}: {seen.summary}"


@dataclass(frozen=True, slots=True)
class _Recall:
    least: float
    held: timedelta

    @property
    def asked(self) -> str:
        return (
            f"defect recall, by its lower bound, under {self.least:g} for {_hours(self.held)}"
            if self.least
            else ""
        )

    @property
    def longest(self) -> timedelta:
        return self.held

    def knows(self, seen: Observation) -> bool:
        return seen.recall is not None

    def hold(self, seen: Observation) -> timedelta | None:
        return self.held if seen.recall and seen.recall.low < self.least else None

    def words(self, seen: Observation) -> str:
        found = seen.recall or Bounds(low=0, value=0, high=0)
        return f"defect recall {found.value:.3f}, at least {found.low:.3f}; asked {self.least:g}"


@dataclass(frozen=True, slots=True)
class _FalsePositives:
    most: float
    held: timedelta

    @property
    def asked(self) -> str:
        return (
            f"false positives, by their lower bound, over {self.most:g} for {_hours(self.held)}"
            if self.most
            else ""
        )

    @property
    def longest(self) -> timedelta:
        return self.held

    def knows(self, seen: Observation) -> bool:
        return seen.false_positives is not None

    def hold(self, seen: Observation) -> timedelta | None:
        found = seen.false_positives
        return self.held if found and found.low > self.most else None

    def words(self, seen: Observation) -> str:
        found = seen.false_positives or Bounds(low=0, value=0, high=0)
        return f"false positives {found.value:.3f}, at least {found.low:.3f}; asked {self.most:g}"


@dataclass(frozen=True, slots=True)
class _Labels:
    enough: int
    longest: timedelta = field(default=timedelta())

    @property
    def asked(self) -> str:
        return f"{self.enough} new labels" if self.enough else ""

    def knows(self, seen: Observation) -> bool:
        return seen.labels is not None

    def hold(self, seen: Observation) -> timedelta | None:
        return self.longest if seen.labels and seen.labels >= self.enough else None

    def words(self, seen: Observation) -> str:
        return f"{seen.labels} new labels came back; asked {self.enough}"


@dataclass(frozen=True, slots=True)
class _Calendar:
    days: int
    longest: timedelta = field(default=timedelta())

    @property
    def asked(self) -> str:
        return f"{self.days} days since the bundle was built" if self.days else ""

    def knows(self, seen: Observation) -> bool:
        return seen.at >= seen.model_made_at  # a clock that is behind the build's knows no age

    def hold(self, seen: Observation) -> timedelta | None:
        old = seen.at - seen.model_made_at >= timedelta(days=self.days)
        return self.longest if old else None

    def words(self, seen: Observation) -> str:
        return f"the bundle is {(seen.at - seen.model_made_at).days} days old; asked {self.days}"


def _hours(held: timedelta) -> str:
    return f"{held.total_seconds() / 3600:g} h"
