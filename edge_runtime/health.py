"""The station's counters, and the `Health` state they add up to.

Written by the station's threads, read by whoever publishes; one lock guards all. Latencies cover the
most recent frames only, and at most `_TRACKED` verdicts are timed at once, so an outage costs no memory.
"""

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np

from edge_runtime.contracts.health import Health, Latency
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome

_RECENT = 4096
_TRACKED = 4096


class HealthLog:
    """Counts frames and verdicts of one run of the daemon."""

    def __init__(
        self, *, boot_id: str, site: str, station: StationId, bundle: str, engine: str
    ) -> None:
        self._about = {
            "boot_id": boot_id,
            "site": site,
            "line": station.line,
            "station": station.station,
            "bundle": bundle,
            "engine": engine,
        }
        self._lock = threading.Lock()
        self._frames = 0
        self._verdicts: Counter[Outcome] = Counter()
        self._acknowledged = 0
        self._arrived: dict[int, float] = {}
        self._latencies_s: deque[float] = deque(maxlen=_RECENT)
        self._problems: dict[str, str] = {}

    @property
    def frames(self) -> int:
        """Frames taken in so far."""
        with self._lock:
            return self._frames

    @property
    def verdicts(self) -> int:
        """Verdicts committed so far."""
        with self._lock:
            return self._verdicts.total()

    def frame_taken(self) -> None:
        """A frame entered the station."""
        with self._lock:
            self._frames += 1

    def time_verdicts(self, arrivals: Mapping[int, float]) -> None:
        """Verdicts are about to be committed: monotonic time of each frame's arrival, by seq.

        Comes before the commit, since the acknowledgement may overtake whatever comes after it.
        """
        with self._lock:
            if len(self._arrived) < _TRACKED:
                self._arrived.update(arrivals)

    def verdicts_committed(self, outcomes: Iterable[Outcome]) -> None:
        """Verdicts are durable."""
        with self._lock:
            self._verdicts.update(outcomes)

    def verdict_acknowledged(self, seq: int, now: float) -> None:
        """The broker has a verdict, at monotonic time `now`."""
        with self._lock:
            self._acknowledged += 1
            arrived = self._arrived.pop(seq, None)
            if arrived is not None:
                self._latencies_s.append(now - arrived)

    def set_problem(self, part: str, problem: str | None) -> None:
        """What is wrong with one part of the station at present; None when it is well again."""
        with self._lock:
            if problem is None:
                self._problems.pop(part, None)
            else:
                self._problems[part] = problem

    def snapshot(
        self,
        *,
        uptime_s: float,
        pending: int,
        refused: int,
        requests_ignored: int,
        not_mirrored: int,
        connections: int,
        camera_restarts: int,
        frames_lost: int,
    ) -> Health:
        """The present state, with what the camera, the journal and the publisher know."""
        with self._lock:
            latency = None
            if self._latencies_s:
                p50, p99 = np.percentile(np.fromiter(self._latencies_s, float), (50, 99)) * 1000
                latency = Latency(
                    p50_ms=round(p50, 3), p99_ms=round(p99, 3), frames=len(self._latencies_s)
                )
            return Health(
                **self._about,
                at=datetime.now(UTC),
                uptime_s=round(uptime_s, 3),
                frames=self._frames,
                verdicts={outcome: self._verdicts[outcome] for outcome in Outcome},
                acknowledged=self._acknowledged,
                pending=pending,
                refused=refused,
                requests_ignored=requests_ignored,
                not_mirrored=not_mirrored,
                connections=connections,
                camera_restarts=camera_restarts,
                frames_lost=frames_lost,
                latency=latency,
                problem="; ".join(self._problems.values()) or None,
            )
