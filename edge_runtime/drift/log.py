"""The station's drift state: the monitor behind a lock, and the `DriftReport` it adds up to.

Written by the thread that records, read by whoever publishes. Without a reference it watches nothing and
says so.
"""

import logging
import threading
from collections.abc import Iterable
from datetime import UTC, datetime

from edge_runtime.contracts.drift import DriftLevel, DriftReport
from edge_runtime.contracts.station_id import StationId
from edge_runtime.drift import words
from edge_runtime.drift.monitor import Monitor, Part

_LOG = logging.getLogger(__name__)


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
        instead: str = "",
    ) -> None:
        self._about = {
            "boot_id": boot_id,
            "site": site,
            "line": station.line,
            "station": station.station,
            "bundle": bundle,
        }
        self._monitor = monitor
        self._instead = instead
        self._lock = threading.Lock()
        self._level = DriftLevel.OK

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
            level = self._monitor.level
        if level is not self._level:
            self._level = level
            _LOG.warning("drift: %s: %s", level.value, self.snapshot().summary)

    def snapshot(self) -> DriftReport:
        """The present state."""
        if self._monitor is None:
            return self._report(DriftLevel.NOT_MONITORED, f"not monitored: {self._instead}")
        with self._lock:
            level, moved, parts = self._monitor.level, self._monitor.moved(), self._monitor.parts
            effects = self._monitor.effects()
        since = min((each.since for each in moved), default=None)
        report = self._report(level, words.summary(moved, since))
        return report.model_copy(
            update={"since": since, "parts": parts, "moved": moved, "effects": effects}
        )

    def _report(self, level: DriftLevel, summary: str) -> DriftReport:
        return DriftReport(
            **self._about,
            at=datetime.now(UTC),
            level=level,
            since=None,
            summary=summary,
            parts=0,
            moved=(),
        )
