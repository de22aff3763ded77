"""One station at work: what a frame goes through from the camera to the broker.

    camera -> [capture] -> gate -> [inspect] -> engine, policy -> [record] -> journal -> delivery -> MQTT

Each name in brackets is a thread. Every frame that enters leaves as one verdict, committed to the
journal before anybody outside hears of it. Between the threads are two bounded queues:

- **for the engine** (`batcher`): of a patient source it blocks when full, so a slow engine slows the
  source down. Frames of a live source have a deadline; those that cannot be inspected by then are shed,
  which means answered `not_inspected(overload: ...)` at once.
- **for the journal**: blocks when full, whatever the source. A disk that refuses so slows the camera
  down; what a live one then drops is counted by the source (`frames_lost`).
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from edge_runtime import policy
from edge_runtime.batcher import MicroBatcher, Shed
from edge_runtime.cameras.base import CameraSource, EndOfStream
from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Part
from edge_runtime.drift.statistics import measure
from edge_runtime.errors import DiskFullError, EdgeInspectError, StateError
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import (
    Answered,
    GatedFrame,
    Inspector,
    Judgement,
    Observer,
    answer_unseen,
    gate,
)
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.base import Mirror, Publisher
from edge_runtime.mes.topics import Topics
from edge_runtime.quality.gate import QualityGate
from edge_runtime.service.distribution import Distribution

_LOG = logging.getLogger(__name__)
_POLL_S = 0.2
"""How often a waiting thread looks whether it should stop."""
_RETRY_S = 1.0
"""Pause before a batch that the disk refused is tried again."""
_STATES_EVERY_S = 5.0
_AWAY_S = 5.0
"""How long a station that stops waits for a broker that is not connected."""


class Station:
    """Runs one station from its first frame to its last acknowledged verdict."""

    def __init__(
        self,
        *,
        identity: Identity,
        model: ModelSpec,
        camera: CameraSource,
        inspector: Inspector,
        journal: Journal,
        publisher: Publisher,
        mirror: Mirror | None = None,
        topics: Topics,
        health: HealthLog,
        drift: DriftLog,
        max_batch: int,
        max_wait_s: float,
        deadline_s: float | None = None,
        backlog_rate: float = 500.0,
        replay: bool = False,
        stop_when_full: bool = False,
        frame_limit: int | None = None,
        drain_s: float = 20.0,
        observers: Sequence[Observer] = (),
        quality: QualityGate | None = None,
    ) -> None:
        self._identity = identity
        self._model = model
        self._camera = camera
        self._inspector = inspector
        self._journal = journal
        self._publisher = publisher
        self._mirror = mirror
        self._topics = topics
        self._health = health
        self._drift = drift
        self._batcher = MicroBatcher[GatedFrame](max_batch, max_wait_s)
        self._stop_when_full = stop_when_full
        self._frame_limit = frame_limit
        self._drain_s = drain_s
        self._observers = tuple(observers)
        self._quality = quality
        self._delivery = Delivery(
            journal,
            publisher,
            topics,
            backlog_rate=backlog_rate,
            replay=replay,
            on_acknowledged=health.verdict_acknowledged,
        )
        self._deadline_s = math.inf if deadline_s is None else deadline_s
        self._changed = threading.Condition()
        """Guards the batcher, the queue for the journal and what has ended; told of every change."""
        self._judged: deque[Judgement] = deque()
        self._judged_limit = 4 * max_batch
        self._captured = self._inspected = False
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._recorded = threading.Event()
        self._failure: BaseException | None = None
        self._began = time.monotonic()

    def run(self, stop: threading.Event) -> Health:
        """Inspect until `stop` is set, the source ends or the frame limit is reached; then drain.

        Returns the final health. Raises CameraError when the source failed for good and StateError when
        verdicts could not be committed; everything that was taken in is answered first, if it can be.
        """
        self._stop = stop
        self._publish_states()
        self._delivery.start()
        if self._mirror is not None:
            self._mirror.start()
        threads = [
            threading.Thread(target=self._guarded, args=(stage,), name=name)
            for name, stage in (
                ("capture", self._capture),
                ("inspect", self._inspect),
                ("record", self._record),
            )
        ]
        for thread in threads:
            thread.start()
        self._watch(stop)
        for thread in threads:
            thread.join()
        # What a broker out of reach does not take now waits safely in the journal for the next start.
        patience_s = self._drain_s if self._publisher.connected else min(_AWAY_S, self._drain_s)
        if not self._delivery.drain(patience_s):
            _LOG.warning(
                "%d verdicts wait in the journal for the broker", self._journal.pending_count
            )
        if self._mirror is not None:
            self._mirror.stop(timeout_s=_AWAY_S)
        final = self._publish_states()
        self._drift.save(at_once=True)
        if unanswered := final.frames - sum(final.verdicts.values()):
            _LOG.error("%d frames were taken in and could not be answered", unanswered)
        self._publisher.stop(timeout_s=5.0)
        self._delivery.stop()
        if self._failure is not None:
            raise self._failure
        return final

    def _watch(self, stop: threading.Event) -> None:
        """Publish the states until all is recorded; after `stop`, allow `drain_s` for that."""
        next_states = time.monotonic() + _STATES_EVERY_S
        connections = 0
        give_up_at: float | None = None
        while not self._recorded.wait(_POLL_S):
            now = time.monotonic()
            # What was remembered for the connection was said while there was none.
            connected_anew = connections != self._publisher.connections
            connections = self._publisher.connections
            if connected_anew or now >= next_states:
                self._publish_states()
                next_states = now + _STATES_EVERY_S
            if stop.is_set() and give_up_at is None:
                give_up_at = now + self._drain_s
            if give_up_at is not None and now >= give_up_at:
                self._abandon.set()

    # --- the three stages, each on a thread of its own -------------------------------------------

    def _capture(self) -> None:
        taken = 0
        measured = measure if self._drift.watching else None
        try:
            while not self._stop.is_set() and taken != self._frame_limit:
                try:
                    frame = self._camera.read(_POLL_S)
                except EndOfStream:
                    break
                self._health.source_answered()
                if frame is not None:
                    taken += 1
                    self._health.frame_taken()
                    self._take_in(gate(frame, self._model.input, measured, self._quality))
                    self._health.frame_handed_on()
        finally:
            self._health.source_ended()
            with self._changed:
                self._captured = True
                self._changed.notify_all()

    def _take_in(self, gated: GatedFrame) -> None:
        deadline = gated.frame.arrived + self._deadline_s
        with self._changed:
            self._await(lambda: self._has_room(deadline))
            if self._recorded.is_set():
                return
            shed = self._batcher.offer(gated, time.monotonic(), deadline)
            if shed is not None:
                self._answer_shed([shed])
            self._changed.notify_all()

    def _has_room(self, deadline: float) -> bool:
        if len(self._judged) >= self._judged_limit:
            return False
        return deadline < math.inf or not self._batcher.full

    def _inspect(self) -> None:
        try:
            while batch := self._next_batch():
                began = time.monotonic()
                self._health.engine_asked()
                judgements = self._inspector.judge(batch)
                self._health.engine_answered()
                seen = sum(gated.pixels is not None for gated in batch)
                self._health.set_problem("engine", self._inspector.problem)
                with self._changed:
                    if seen:
                        self._batcher.learn(seen, time.monotonic() - began)
                    self._judged += judgements
                    self._changed.notify_all()
        finally:
            with self._changed:
                self._inspected = True
                self._changed.notify_all()

    def _next_batch(self) -> Sequence[GatedFrame]:
        """What the engine is to see next, once it is time; empty when nothing will come any more."""
        with self._changed:
            while True:
                self._await(lambda: len(self._judged) < self._judged_limit)
                if self._recorded.is_set():
                    return ()
                now = time.monotonic()
                if self._batcher.due(now) or (self._captured and len(self._batcher)):
                    taken = self._batcher.take(now)
                    self._answer_shed(taken.shed)
                    self._changed.notify_all()
                    if taken.batch:
                        return taken.batch
                elif self._captured:
                    return ()
                else:
                    self._changed.wait(self._batcher.wait_s(now))

    def _answer_shed(self, shed: Sequence[Shed[GatedFrame]]) -> None:
        self._health.parts_shed(len(shed))
        self._judged += (answer_unseen(each.item, f"overload: {each.reason}") for each in shed)

    def _record(self) -> None:
        try:
            while judgements := self._next_judgements():
                self._commit(judgements)
        finally:
            with self._changed:
                self._recorded.set()
                self._changed.notify_all()

    def _next_judgements(self) -> Sequence[Judgement]:
        """What is to be committed next; empty when nothing will come any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._judged or self._inspected)
            judgements = tuple(self._judged)
            self._judged.clear()
            self._changed.notify_all()
            return judgements

    def _commit(self, judgements: Sequence[Judgement]) -> None:
        """Make verdicts durable; a disk that refuses is tried again until it takes them."""
        first = self._journal.next_seq
        verdicts = [
            self._identity.verdict(first + index, item, self._model.decision.thresholds)
            for index, item in enumerate(judgements)
        ]
        entries = [Entry(seq=verdict.seq, body=verdict.to_json().encode()) for verdict in verdicts]
        self._health.time_verdicts(
            {first + index: item.frame.arrived for index, item in enumerate(judgements)}
        )
        self._delivery.time_verdicts(
            {first + index: item.decided for index, item in enumerate(judgements)}
        )
        began = time.monotonic()
        while True:
            try:
                self._journal.append(entries)
                break
            except StateError as exc:
                self._health.disk_refused()
                self._health.set_problem("journal", str(exc))
                _LOG.error("%s; %d verdicts are held back, trying again", exc, len(entries))
                self._publish_states()
                if self._stop_when_full and isinstance(exc, DiskFullError):
                    # No more parts, and as long as a drain may take for somebody to free space.
                    self._stop.set()
                if self._abandon.wait(_RETRY_S):
                    raise
        self._health.set_problem("journal", None)
        self._health.verdicts_committed(verdict.verdict for verdict in verdicts)
        self._health.time_stages(
            (item.timings_ms for item in judgements), commit_s=time.monotonic() - began
        )
        answered = [
            Answered(verdict=verdict, views=(item,))
            for verdict, item in zip(verdicts, judgements, strict=True)
        ]
        for observer in self._observers:
            observer.observe(answered)
        self._drift.observe(_part(item, self._model) for item in judgements)
        if self._mirror is not None:
            self._mirror.mirror(verdicts)
        self._delivery.notify()

    # --- supervision ------------------------------------------------------------------------------

    def _guarded(self, stage: Callable[[], None]) -> None:
        """Run a stage; whatever ends it ends the station, after the later stages have finished."""
        try:
            stage()
        except BaseException as exc:  # noqa: BLE001 - supervision edge: `run` raises it again
            if self._failure is None:
                self._failure = exc
            if not isinstance(exc, EdgeInspectError):
                self._abandon.set()
            self._stop.set()

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition, but not for a stage that has given up; `_changed` is held."""
        self._changed.wait_for(lambda: condition() or self._recorded.is_set())

    @property
    def ending(self) -> bool:
        """No more parts are taken in; those that were are answered."""
        return self._stop.is_set() or self._health.ended

    @property
    def unready(self) -> str | None:
        """Why parts cannot be inspected and recorded at present; None when they can.

        A broker out of reach is no such reason: verdicts wait for it in the journal.
        """
        return "; ".join(self._health.problems("engine", "journal")) or None

    def stalled_s(self) -> float:
        """How long the source or the verdicts of frames taken in have been waited for, seconds."""
        return self._health.stalled_s()

    def stages(self) -> Mapping[str, Distribution]:
        """How long each stage took, frame by frame: `health.STAGES`."""
        return self._health.stages()

    def drift(self) -> DriftReport:
        """How far the line is from training."""
        return self._drift.snapshot()

    def health(self) -> Health:
        """The present state."""
        camera = self._camera.state
        self._health.set_problem("camera", camera.problem)
        self._health.set_problem("broker", self._publisher.problem)
        self._health.set_problem("delivery", self._delivery.problem)
        if self._mirror is not None:
            self._health.set_problem("mirror", self._mirror.problem)
        return self._health.snapshot(
            uptime_s=time.monotonic() - self._began,
            pending=self._journal.pending_count,
            refused=self._journal.refused_count,
            requests_ignored=self._delivery.requests_ignored,
            not_mirrored=self._mirror.dropped if self._mirror is not None else 0,
            connections=self._publisher.connections,
            camera_restarts=camera.restarts,
            frames_lost=camera.lost,
        )

    def _publish_states(self) -> Health:
        """Health, and the journal's head after it, so that the head covers what health counts; drift."""
        health = self.health()
        self._publisher.set_state(self._topics.health, health.to_json().encode())
        head = self._journal.head
        published = JournalHead(
            site=health.site,
            line=health.line,
            station=health.station,
            at=health.at,
            first_seq=head.first_seq,
            last_seq=head.last_seq,
            sha256=head.sha256.hex(),
        )
        self._publisher.set_state(self._topics.journal, published.to_json().encode())
        self._publisher.set_state(self._topics.drift, self._drift.snapshot().to_json().encode())
        self._drift.save()
        return health


def _part(judged: Judgement, model: ModelSpec) -> Part:
    decision = judged.decision
    return Part(
        at=judged.decided_at,
        statistics=judged.statistics,
        outcome=decision.outcome,
        label=decision.label,
        score=policy.defect_score(decision.scores, model) if decision.scores else None,
        certain=decision.scores[decision.label] if decision.label is not None else None,
    )
