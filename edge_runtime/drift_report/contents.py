"""What a drift report says, as values: a history in, courses, order and counts out.

Owns what is shown and over which time; how it looks is `page`. Told is only what the present bundle
decided: another one was held against another reference. Values in, values out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from edge_runtime.contracts.drift import DriftLevel, DriftReference, MeasureReference
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.series import CLASS
from edge_runtime.drift_history.period import MINUTE, Period, floored, merged
from edge_runtime.drift_history.records import (
    History,
    KeptMoved,
    KeptReport,
    Picture,
    Role,
    Standing,
)
from edge_runtime.errors import StateError

_STEPS: Final = tuple(
    (MINUTE * minutes) for minutes in (1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 1440)
)
_POINTS: Final = 240
"""Of a time line at most: a page shows no more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One image statistic over time, on its own scale."""

    measure: MeasureReference
    moved: KeptMoved | None
    """What is said of it now; None where it has not moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRow:
    """How often something was answered."""

    name: str
    training: float | None
    """None where the reference says nothing of it."""
    before: float | None
    """Before anything moved; None where no part is from then."""
    since: float | None
    """Since something moved; None where nothing has, or nothing was kept since."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Everything that a page shows."""

    report: KeptReport
    """The newest."""
    periods: tuple[Period, ...]
    """In equal steps of time, as many as a time line shows."""
    step: timedelta
    parts: int
    courses: tuple[Course, ...]
    """In the order in which they moved, then those that have not."""
    first_moved: tuple[KeptMoved, ...]
    """What has moved now, by when it began."""
    standings: tuple[Standing, ...]
    """Every change, the newest first."""
    shares: tuple[ShareRow, ...]
    reference: DriftReference | None
    training: tuple[Picture, ...]
    recent: tuple[Picture, ...]
    drifted: tuple[Picture, ...]
    """Kept samples."""
    unreadable: int


def tell(history: History, drifted: tuple[Picture, ...] = ()) -> Contents:
    """What there is to say, and samples that were kept because of drift.

    Raises StateError of a history without a readable minute.
    """
    if not history.periods or not history.standings:
        raise StateError(
            "the drift history has no minute of that time: wait until parts were answered for one, or "
            "give an earlier --since"
        )
    bundle = history.periods[-1].bundle
    periods = [each for each in history.periods if each.bundle == bundle]
    standings = [each for each in history.standings if each.report.bundle == bundle]
    report = standings[-1].report if standings else history.standings[-1].report
    step = _step(periods[-1].ended - periods[0].began)
    first_moved = tuple(sorted(report.moved, key=lambda each: each.since))
    moved = {each.statistic: each for each in reversed(first_moved)}
    measures = history.reference.measures if history.reference else ()
    courses = [Course(measure=each, moved=moved.get(each.name)) for each in measures]
    return Contents(
        report=report,
        periods=_thinned(periods, step),
        step=step,
        parts=sum(each.parts for each in periods),
        courses=tuple(sorted(courses, key=lambda each: _place(each.moved, first_moved))),
        first_moved=first_moved,
        standings=tuple(reversed([each for each in standings if each.began >= periods[0].began])),
        shares=_shares(periods, report.since, history.reference),
        reference=history.reference,
        training=tuple(each for each in history.pictures if each.role is Role.TRAINING),
        recent=tuple(each for each in history.pictures if each.role is Role.RECENT),
        drifted=drifted,
        unreadable=history.unreadable,
    )


def sentence(report: KeptReport) -> str:
    """The status in one sentence; of what has moved only the gravest."""
    if report.level is DriftLevel.NOT_MONITORED:
        return f"Drift is {report.summary}."
    if not report.moved:
        return "Images and verdicts are as in training."
    gravest, others = report.moved[0], len(report.moved) - 1
    verdicts = (
        "Verdicts may be wrong" if report.level is DriftLevel.ALARM else "Something has moved"
    )
    more = (
        f", and {others} more statistic{'s have' if others > 1 else ' has'} moved" if others else ""
    )
    return f"{verdicts}: since {gravest.since:%Y-%m-%d %H:%M} UTC {gravest.words}{more}."


def _place(moved: KeptMoved | None, order: Sequence[KeptMoved]) -> int:
    return len(order) if moved is None else order.index(moved)


def _step(reach: timedelta) -> timedelta:
    return next((step for step in _STEPS if reach / step <= _POINTS), _STEPS[-1])


def _thinned(periods: Sequence[Period], step: timedelta) -> tuple[Period, ...]:
    slots: dict[datetime, list[Period]] = {}
    for each in periods:
        slots.setdefault(floored(each.began, step), []).append(each)
    return tuple(merged(slots[slot]) for slot in sorted(slots))


def _shares(
    periods: Sequence[Period], since: datetime | None, reference: DriftReference | None
) -> tuple[ShareRow, ...]:
    """The minute in which something began to move counts as after it."""
    known = {}
    if reference is not None and reference.line_mix:
        known = {each.name: each.mean for each in reference.shares}
    before = _counts([each for each in periods if since is None or each.ended < since])
    after = _counts([each for each in periods if since is not None and each.ended >= since])
    names = [outcome.value for outcome in Outcome]
    names += sorted({f"{CLASS}{label}" for each in periods for label in each.labels})
    return tuple(
        ShareRow(name=name, training=known.get(name), before=before(name), since=after(name))
        for name in names
    )


def _counts(periods: Sequence[Period]) -> Callable[[str], float | None]:
    """The shares of these parts by the names that a reference has for them; None of no parts."""
    if not periods:
        return lambda _name: None
    whole = merged(periods)
    counts = {outcome.value: count for outcome, count in whole.outcomes.items()}
    counts |= {f"{CLASS}{label}": count for label, count in whole.labels.items()}
    return lambda name: counts.get(name, 0) / whole.parts
