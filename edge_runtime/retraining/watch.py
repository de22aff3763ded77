"""The station's retrain watch: a thread that looks at its pace, asks, and hands over evidence.

Owns the order of an asking: the evidence pack first, then the memory on the disk, then the word to the
broker; so whoever hears of a request finds its pack, and a kill in between asks again and never twice.
It only reads the station's states, so a slow disk holds up nothing but itself. What the disk refuses is
said in the log and in the request, which goes out all the same. A fault of ours ends no thread: it is
logged and told, and the next look is another try.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.performance import Figure
from edge_runtime.contracts.retrain import RetrainRequest, RetrainState, RuleName
from edge_runtime.contracts.station_id import StationId
from edge_runtime.drift import words
from edge_runtime.errors import StateError
from edge_runtime.retraining.memory import write_memory
from edge_runtime.retraining.pack import Attachment, write_pack
from edge_runtime.retraining.rules import (
    Bounds,
    Limits,
    Observation,
    level_of_pictures,
    moved_in_pictures,
)
from edge_runtime.retraining.triggers import Triggers

_LOG = logging.getLogger(__name__)
EVERY_S = 30.0
_OFTENEST_S = 1.0
"""A look takes milliseconds."""
_LOOKS = 4
"""In the time that a cause has to hold: one that is gone for a quarter of it is seen to be gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The station and the model that a request is about."""

    boot_id: str
    site: str
    station: StationId
    bundle: str
    model_sha256: str
    source_sha256: str | None
    """Of the float model that the bundle was built from."""
    made_at: datetime
    """When the bundle was built; UTC."""


class RetrainWatch:
    """Looks at the drift report and keeps the rules; `look` may be called by one thread at a time."""

    def __init__(
        self,
        *,
        subject: Subject,
        triggers: Triggers,
        state_dir: Path,
        report: Callable[[], DriftReport],
        attachments: Callable[[DriftReport], Iterable[Attachment]],
        publish: Callable[[bytes], None],
        every_s: float = EVERY_S,
        on_problem: Callable[[str | None], None] = lambda _problem: None,
    ) -> None:
        """`attachments` are the files that a pack takes along; `publish` sets the retained state;
        `on_problem` hears after every look of the thread what is wrong, or that nothing is."""
        self._subject = subject
        self._triggers = triggers
        self._state_dir = state_dir
        self._report = report
        self._attachments = attachments
        self._publish = publish
        self._every_s = every_s
        self._on_problem = on_problem
        self._written = triggers.memory
        self._published: RetrainState | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="retrain", daemon=True)

    def start(self) -> None:
        """Look once, so that the state is known before anything else is said; then go on by itself."""
        self.look(datetime.now(UTC))
        self._thread.start()

    def close(self) -> None:
        """Look no more; safe to call twice, or without `start`."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def look(self, now: datetime) -> RetrainState:
        """One look at `now`, UTC: fire what is due, remember, publish what has changed."""
        report = self._report()
        fired = self._triggers.observe(observation(report, now, self._subject.made_at))
        for rule, why in fired.items():
            self._triggers.request(self._ask(rule, why, report, now))
        self._remember()
        state = self._state(now)
        before = self._published
        if before is None or before.model_copy(update={"at": state.at}) != state:
            self._publish(state.to_json().encode())
            self._published = state
        return state

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            problem = None
            try:
                self.look(datetime.now(UTC))
            except Exception as exc:  # noqa: BLE001 - supervision edge: a fault here must not end the rules
                _LOG.exception("retraining: a fault of ours; the rules are looked at again")
                problem = f"the retraining rules were not looked at: {exc!r}"
            self._on_problem(problem)

    def _ask(self, rule: RuleName, why: str, report: DriftReport, now: datetime) -> RetrainRequest:
        about = self._subject
        name = f"{now:%Y%m%dT%H%M%SZ}-{rule.replace('_', '-')}"
        request = RetrainRequest(
            id=name,
            at=now,
            rule=rule,
            words=why,
            bundle=about.bundle,
            model_sha256=about.model_sha256,
            source_sha256=about.source_sha256,
            level=report.level,
            evidence=name,
        )
        try:
            write_pack(
                self._state_dir, about.site, about.station, request, self._attachments(report)
            )
        except StateError as exc:
            _LOG.error("%s; the request goes out without it", exc)
            request = request.model_copy(update={"evidence": None})
        _LOG.warning("retrain request %s: %s", request.id, why)
        return request

    def _remember(self) -> None:
        memory = self._triggers.memory
        if memory == self._written:
            return
        try:
            write_memory(self._state_dir, memory)
        except StateError as exc:
            _LOG.error("%s; a restart now would forget how the rules stand", exc)
        else:
            self._written = memory

    def _state(self, now: datetime) -> RetrainState:
        about = self._subject
        return RetrainState(
            boot_id=about.boot_id,
            site=about.site,
            line=about.station.line,
            station=about.station.station,
            at=now,
            bundle=about.bundle,
            requests=self._triggers.requests,
            rules=self._triggers.standings(),
        )


def pace_s(limits: Limits) -> float:
    """Seconds from look to look: EVERY_S, and less where a cause has to hold for a few minutes only."""
    holds = (limits.warning_hours, limits.alarm_hours, limits.figure_hours)
    shortest_s = min(3600 * hours for hours in holds if hours)
    return min(EVERY_S, max(_OFTENEST_S, shortest_s / _LOOKS))


def observation(report: DriftReport, now: datetime, made_at: datetime) -> Observation:
    """What the rules look at, from a drift report."""
    moved = moved_in_pictures(report)
    return Observation(
        at=now,
        level=level_of_pictures(report),
        summary=words.summary(moved, min((each.since for each in moved), default=None)),
        recall=_bounds(report, "defect_recall"),
        false_positives=_bounds(report, "false_positive_rate"),
        labels=report.measured.labels if report.measured else None,
        model_made_at=made_at,
    )


def _bounds(
    report: DriftReport, name: Literal["defect_recall", "false_positive_rate"]
) -> Bounds | None:
    """A figure as labels measured it, else as it is estimated where that can be relied on."""
    estimated = report.estimated
    if estimated is not None and estimated.unreliable is not None:
        estimated = None
    for figures in (report.measured, estimated):
        figure: Figure | None = getattr(figures, name, None)
        if figure is not None:
            return Bounds(low=figure.low, value=figure.value, high=figure.high)
    return None
