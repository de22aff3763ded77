"""The station's drift state: the monitor behind a lock, and the `DriftReport` it adds up to.

Written by the thread that records, read by whoever publishes; `save` is the business of one thread,
which may wait for the disk. Without a reference it watches nothing and says so.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.performance import Measured
from edge_runtime.contracts.station_id import StationId
from edge_runtime.drift import words
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.evidence_file import EMBEDDING, EvidenceFile
from edge_runtime.drift.levels import highest
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift.state import named
from edge_runtime.drift.window import BLOCK

_LOG = logging.getLogger(__name__)
SAVED_EVERY = 4 * BLOCK
"""Parts; so many and those of one interval between two states are lost at most when it is killed."""


class DriftLog:
    """Watches the parts of one run of the daemon; `instead` says why there is no monitor."""

    def __init__(
        self,
        *,
        boot_id: str,
        site: str,
        station: StationId,
        bundle: str,
        monitor: Monitor | None,
        embedding: EmbeddingMonitor | None = None,
        instead: str = "",
        evidence: EvidenceFile | None = None,
        measured: Callable[[], Measured | None] = lambda: None,
    ) -> None:
        self._about = {
            "boot_id": boot_id,
            "site": site,
            "line": station.line,
            "station": station.station,
            "bundle": bundle,
        }
        self._monitor = monitor
        self._embedding = embedding
        self._instead = instead
        self._evidence = evidence
        self._measured = measured
        self._lock = threading.Lock()
        self._estimating = threading.Lock()
        """Apart, so that a part that was decided waits for no estimate."""
        self._level = DriftLevel.OK if monitor is None else monitor.level
        self._saved = 0 if monitor is None else monitor.parts

    @property
    def watching(self) -> bool:
        """Whether frames have to be measured."""
        return self._monitor is not None

    def observe(self, parts: Iterable[Part]) -> None:
        """Parts were decided and are durable, in the order of the line."""
        if self._monitor is None:
            return
        with self._lock:
            for part in parts:
                self._monitor.observe(part)
                if self._embedding is not None:
                    self._embedding.observe(part)
            level = self._present(self._monitor)
        if level is not self._level:
            self._level = level
            _LOG.warning("drift: %s: %s", level.value, self.snapshot().summary)

    def snapshot(self) -> DriftReport:
        """The present state."""
        if self._monitor is None:
            return self._report(DriftLevel.NOT_MONITORED, f"not monitored: {self._instead}")
        with self._lock:
            level, moved, parts = (
                self._present(self._monitor),
                self._monitor.moved(),
                self._monitor.parts,
            )
            if self._embedding is not None:
                moved += self._embedding.moved()
                moved = tuple(sorted(moved, key=lambda m: m.level is not DriftLevel.ALARM))
            effects, answered = self._monitor.effects(), self._monitor.answered()
            if self._embedding is not None:
                effects |= self._embedding.effects()
        estimated = None
        if answered is not None:
            with self._estimating:
                estimated = self._monitor.estimate(answered)
        since = min((each.since for each in moved), default=None)
        report = self._report(level, words.summary(moved, since))
        return report.model_copy(
            update={
                "since": since,
                "parts": parts,
                "moved": moved,
                "effects": effects,
                "estimated": estimated,
            }
        )

    def save(self, *, at_once: bool = False) -> None:
        """Write down what was learnt, so that a restart goes on from it: every SAVED_EVERY parts, or
        whatever is new `at_once`."""
        if self._monitor is None or self._evidence is None:
            return
        with self._lock:
            if self._monitor.parts - self._saved < (1 if at_once else SAVED_EVERY):
                return
            self._saved = self._monitor.parts
            state = {name: array.copy() for name, array in self._monitor.state().items()}
            if self._embedding is not None:
                seen = named(EMBEDDING, self._embedding.state())
                state |= {name: array.copy() for name, array in seen.items()}
        self._evidence.write(state)

    def _present(self, monitor: Monitor) -> DriftLevel:
        others = [] if self._embedding is None else [self._embedding.level]
        return highest([monitor.level, *others])

    def _report(self, level: DriftLevel, summary: str) -> DriftReport:
        return DriftReport(
            **self._about,
            at=datetime.now(UTC),
            level=level,
            since=None,
            summary=summary,
            parts=0,
            moved=(),
            measured=self._measured(),
        )
