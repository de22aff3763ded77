"""The station's counters, and the `Health` state they add up to.

Written by the station's threads, read by whoever publishes; one lock guards all. Latencies cover the
most recent frames only, and at most `_TRACKED` verdicts are timed at once, so an outage costs no memory.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import numpy as np

from edge_runtime.contracts.health import Health, Latency
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome, Timings
from edge_runtime.service.distribution import Distribution, Stopwatch
from edge_runtime.service.progress import Progress

_RECENT = 4096
_TRACKED = 4096
STAGES = ("wait", "preprocess", "infer", "commit", "acknowledge")
"""What is timed: a frame's `Timings`, its batch's commit, and from its arrival to the PUBACK."""


class HealthLog:
    """Counts frames and verdicts of one run of the daemon; parts are counted where they are kept."""

    def __init__(
        self,
        *,
        boot_id: str,
        site: str,
        station: StationId,
        bundle: str,
        engine: str,
        batch_wait_s: float = 0.0,
        cameras: int = 1,
    ) -> None:
        """`batch_wait_s` is how long the first frame of a batch may wait for others, seconds."""
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
        self._reasons: Counter[str] = Counter()
        self._acknowledged = 0
        self._shed = 0
        self._history_lost = 0
        self._arrived: dict[int, float] = {}
        self._latencies_s: deque[float] = deque(maxlen=_RECENT)
        self._samples = self._samples_lost = 0
        self._problems: dict[str, str] = {}
        self._stopwatches = {stage: Stopwatch() for stage in STAGES}
        self._progress = Progress(time.monotonic(), batch_wait_s=batch_wait_s, sources=cameras)

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

    @property
    def ended(self) -> bool:
        """Whether the last frame was taken in."""
        with self._lock:
            return self._progress.ended

    def source_answered(self, camera: int) -> None:
        """A source gave a frame or said that there is none."""
        with self._lock:
            self._progress.source_answered(camera, time.monotonic())

    def frame_taken(self, camera: int, *, completes: bool) -> None:
        """A frame entered the station for a part, the last perhaps that this waits for."""
        with self._lock:
            self._frames += 1
            self._progress.frame_taken(camera)
            if completes:
                self._progress.part_completed(time.monotonic())

    def frame_handed_on(self, camera: int) -> None:
        """The stages behind the camera had room for the frame."""
        with self._lock:
            self._progress.source_answered(camera, time.monotonic())

    def source_ended(self, camera: int) -> None:
        """No further frame of this source will be taken in."""
        with self._lock:
            self._progress.source_ended(camera)

    def engine_asked(self) -> None:
        """The engine was given a batch."""
        with self._lock:
            self._progress.engine_asked(time.monotonic())

    def engine_answered(self) -> None:
        """It is done with it, or failed."""
        with self._lock:
            self._progress.engine_answered()

    def time_verdicts(self, arrivals: Mapping[int, float]) -> None:
        """Verdicts are about to be committed: monotonic time of each frame's arrival, by seq.

        Comes before the commit, since the acknowledgement may overtake whatever comes after it.
        """
        with self._lock:
            if len(self._arrived) < _TRACKED:
                self._arrived.update(arrivals)

    def verdicts_committed(self, outcomes: Iterable[Outcome], *, complete: int, shed: int) -> None:
        """Verdicts are durable; so many had all their frames, for so many there was no time."""
        with self._lock:
            self._verdicts.update(outcomes)
            self._shed += shed
            self._progress.parts_answered(complete, time.monotonic())

    def parts_not_inspected(self, codes: Iterable[str]) -> None:
        """Verdicts are durable that inspected nothing: the code of each one's reason."""
        with self._lock:
            self._reasons.update(codes)

    def disk_refused(self) -> None:
        """The disk did not take verdicts, and said so."""
        with self._lock:
            self._progress.disk_refused(time.monotonic())

    def time_stages(self, timings_ms: Iterable[Timings], *, commit_s: float) -> None:
        """Where the time of a batch's frames went, up to their commit."""
        with self._lock:
            for timings in timings_ms:
                for stage in ("wait", "preprocess", "infer"):
                    self._stopwatches[stage].count(getattr(timings, stage) / 1000)
                self._stopwatches["commit"].count(commit_s)

    def verdict_acknowledged(self, seq: int, now: float) -> None:
        """The broker has a verdict, at monotonic time `now`."""
        with self._lock:
            self._acknowledged += 1
            arrived = self._arrived.pop(seq, None)
            if arrived is not None:
                self._latencies_s.append(now - arrived)
                self._stopwatches["acknowledge"].count(now - arrived)

    def history_lost(self) -> None:
        """A minute of the drift history was not kept."""
        with self._lock:
            self._history_lost += 1

    def samples_stand(self, kept: int, lost: int, problem: str | None) -> None:
        """How many samples are kept, how many were lost so far, and what is wrong with them."""
        with self._lock:
            self._samples, self._samples_lost = kept, lost
        self.set_problem("samples", problem)

    def set_problem(self, part: str, problem: str | None) -> None:
        """What is wrong with one part of the station at present; None when it is well again."""
        with self._lock:
            if problem is None:
                self._problems.pop(part, None)
            else:
                self._problems[part] = problem

    def problems(self, *parts: str) -> tuple[str, ...]:
        """What is wrong with these parts at present."""
        with self._lock:
            return tuple(self._problems[part] for part in parts if part in self._problems)

    def stalled_s(self) -> float:
        """How long what the station owes has been owed, seconds: see `service.progress`."""
        with self._lock:
            return self._progress.stalled_s(time.monotonic())

    def stages(self) -> Mapping[str, Distribution]:
        """How long each of `STAGES` took, frame by frame."""
        with self._lock:
            return {stage: stopwatch.read() for stage, stopwatch in self._stopwatches.items()}

    def snapshot(
        self,
        *,
        uptime_s: float,
        parts: int,
        frames_unasked: int,
        triggers_repeated: int,
        triggers_ignored: int,
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
                parts=parts,
                frames=self._frames,
                frames_unasked=frames_unasked,
                verdicts={outcome: self._verdicts[outcome] for outcome in Outcome},
                not_inspected=dict(sorted(self._reasons.items())),
                acknowledged=self._acknowledged,
                pending=pending,
                refused=refused,
                shed=self._shed,
                triggers_repeated=triggers_repeated,
                triggers_ignored=triggers_ignored,
                requests_ignored=requests_ignored,
                not_mirrored=not_mirrored,
                connections=connections,
                camera_restarts=camera_restarts,
                frames_lost=frames_lost,
                history_lost=self._history_lost,
                samples=self._samples,
                samples_lost=self._samples_lost,
                latency=latency,
                problem="; ".join(self._problems.values()) or None,
            )
