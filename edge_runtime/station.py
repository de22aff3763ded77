"""One station at work: what a part goes through from its trigger to the broker.

    cameras -> [capture] -> gate -> parts -> [inspect] -> engine, policy
    triggers ------------------------^  \\-> [record] -> journal -> delivery -> MQTT

Each name in brackets is a thread, `capture` one for each camera. What they share is one book of
`parts` behind one lock; what a part is, and how it is answered, is decided there. Every part that is
announced leaves as one verdict, committed to the journal before anybody outside hears of it. The
thread that records also answers what is due, so that no deadline waits for an engine. Bounded are

- **frames for the engine** (`batcher`): without a deadline their camera waits for room, so that a slow
  engine slows a patient source down; those with one are shed when they cannot be inspected in time.
- **open parts** (`parts`): the newest is answered `not_inspected(overload: ...)`.
- **answers for the journal**: nothing more is taken in until there is room, whatever the source. A
  disk that refuses so slows the cameras down; what a live one then drops is counted by it
  (`frames_lost`).
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from edge_runtime.batcher import MicroBatcher
from edge_runtime.cameras.base import CameraSource, EndOfStream
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.statistics import measure
from edge_runtime.errors import (
    CameraError,
    DiskFullError,
    EdgeInspectError,
    EngineHangsError,
    StateError,
)
from edge_runtime.health import HealthLog
from edge_runtime.identity import Identity
from edge_runtime.inspection import Inspector, Moment, Observer, gate
from edge_runtime.journal.journal import Journal
from edge_runtime.mes.base import Mirror, Publisher
from edge_runtime.mes.topics import Topics
from edge_runtime.parts import PartAnswer, PartRules, Parts, View
from edge_runtime.recording import Recorder
from edge_runtime.service.distribution import Distribution
from edge_runtime.triggers.base import TriggerSource

_LOG = logging.getLogger(__name__)
_POLL_S = 0.2
"""How often a waiting thread looks whether it should stop."""
_HEAR_S = 0.02
"""How often triggers from outside are taken in while nothing else happens."""
_STATES_EVERY_S = 5.0
_AWAY_S = 5.0
"""How long a station that stops waits for a broker that is not connected."""
_LET_GO_S = 5.0
"""How long a camera or an engine may still be busy when all parts are answered."""


class Station:
    """Runs one station from its first part to its last acknowledged verdict."""

    def __init__(
        self,
        *,
        identity: Identity,
        model: ModelSpec,
        cameras: Sequence[CameraSource],
        triggers: TriggerSource,
        rules: PartRules,
        lag_s: float = 0.0,
        inspector: Inspector,
        journal: Journal,
        publisher: Publisher,
        mirror: Mirror | None = None,
        topics: Topics,
        health: HealthLog,
        drift: DriftLog,
        max_batch: int,
        max_wait_s: float,
        backlog_rate: float = 500.0,
        replay: bool = False,
        stop_when_full: bool = False,
        part_limit: int | None = None,
        drain_s: float = 20.0,
        observers: Sequence[Observer] = (),
    ) -> None:
        """`lag_s` is how much longer ago than it says a frame may have been exposed, seconds."""
        self._model = model
        self._cameras = tuple(cameras)
        self._triggers = triggers
        self._lag_s = lag_s
        self._inspector = inspector
        self._journal = journal
        self._publisher = publisher
        self._mirror = mirror
        self._topics = topics
        self._health = health
        self._drift = drift
        self._stop_when_full = stop_when_full
        self._part_limit = part_limit
        self._drain_s = drain_s
        self._delivery = Delivery(
            journal,
            publisher,
            topics,
            backlog_rate=backlog_rate,
            replay=replay,
            on_acknowledged=health.verdict_acknowledged,
        )
        self._recorder = Recorder(
            identity=identity,
            model=model,
            journal=journal,
            delivery=self._delivery,
            health=health,
            drift=drift,
            mirror=mirror,
            observers=observers,
        )
        self._changed = threading.Condition()
        """Guards the parts and which cameras are read; told of every change."""
        self._parts = Parts(rules, MicroBatcher[View](max_batch, max_wait_s))
        self._reading = set(range(len(self._cameras)))
        self._deaf = False
        self._answers_limit = 4 * max_batch
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self._recorded = threading.Event()
        self._failure: BaseException | None = None
        self._began = time.monotonic()

    def run(self, stop: threading.Event) -> Health:
        """Inspect until `stop` is set, the sources end or the part limit is reached; then drain.

        Returns the final health. Raises CameraError when a source failed for good, StateError when
        verdicts could not be committed and EngineHangsError when the engine did not come back;
        everything that was taken in is answered first, if it can be.
        """
        self._stop = stop
        self._publish_states()
        self._delivery.start()
        if self._mirror is not None:
            self._mirror.start()
        captures = [
            self._thread(f"capture {number}", partial(self._capture, number, camera))
            for number, camera in enumerate(self._cameras)
        ]
        inspect, record = (
            self._thread("inspect", self._inspect),
            self._thread("record", self._record),
        )
        self._watch(stop)
        record.join()
        self._let_go(captures, inspect)
        # What a broker out of reach does not take now waits safely in the journal for the next start.
        patience_s = self._drain_s if self._publisher.connected else min(_AWAY_S, self._drain_s)
        if not self._delivery.drain(patience_s):
            _LOG.warning(
                "%d verdicts wait in the journal for the broker", self._journal.pending_count
            )
        if self._mirror is not None:
            self._mirror.stop(timeout_s=_AWAY_S)
        final = self._publish_states()
        if unanswered := final.parts - sum(final.verdicts.values()):
            _LOG.error("%d parts were taken in and could not be answered", unanswered)
        self._publisher.stop(timeout_s=5.0)
        self._delivery.stop()
        if self._failure is not None:
            raise self._failure
        return final

    def _thread(self, name: str, stage: Callable[[], None]) -> threading.Thread:
        # A thread that a vendor's code never returns to must not keep the process from its end.
        thread = threading.Thread(target=self._guarded, args=(stage,), name=name, daemon=True)
        thread.start()
        return thread

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
            if self._abandon.is_set():
                self._give_up()

    def _give_up(self) -> None:
        """Take in nothing more, and answer what is open without waiting for anybody."""
        busy_s = self._inspector.busy_s()
        why = f"engine: no answer for {busy_s * 1000:.0f} ms" if busy_s else "stopped: not decided"
        with self._changed:
            self._reading.clear()
            self._parts.abandon(why, Moment.now())
            self._changed.notify_all()

    def _let_go(self, captures: Sequence[threading.Thread], inspect: threading.Thread) -> None:
        """Wait for what still has a hold on the cameras and the engine, but not for ever."""
        deadline = time.monotonic() + _LET_GO_S
        for thread in (*captures, inspect):
            thread.join(max(0.0, deadline - time.monotonic()))
        if self._failure is not None:
            return
        if inspect.is_alive():
            self._failure = EngineHangsError(
                f"the engine has not answered for {self._inspector.busy_s():.0f} s; all parts were "
                "answered without it: see the engine's driver and the device's log"
            )
        elif stuck := [thread.name for thread in captures if thread.is_alive()]:
            self._failure = CameraError(f"{', '.join(stuck)} hangs; all parts were answered")

    # --- the stages, each on a thread of its own -------------------------------------------------

    def _capture(self, number: int, camera: CameraSource) -> None:
        try:
            while not self._sated():
                try:
                    frame = camera.read(_POLL_S)
                except EndOfStream:
                    break
                self._health.source_answered(number)
                if frame is not None:
                    self._take_in(frame, number)
                    self._health.frame_handed_on(number)
        finally:
            self._health.source_ended(number)
            with self._changed:
                self._reading.discard(number)
                if not self._reading:
                    self._parts.end(Moment.now())
                self._changed.notify_all()

    def _sated(self) -> bool:
        """No part is taken in any more, and none that was waits for a frame."""
        with self._changed:
            if self._recorded.is_set():
                return True
            return (self._stop.is_set() or self._full) and not self._parts.awaits_frames

    @property
    def _full(self) -> bool:
        return self._part_limit is not None and self._parts.announced >= self._part_limit

    def _take_in(self, frame: Frame, number: int) -> None:
        measured = measure if self._drift.watching else None
        with self._changed:
            self._await(lambda: self._parts.waiting_answers < self._answers_limit)
            view = self._claim(frame, number) if number in self._reading else None
            self._changed.notify_all()
        if view is None:
            return
        gated = gate(frame, self._model.input, measured, number)
        with self._changed:
            self._await(lambda: self._parts.has_room(view))
            if not self._recorded.is_set():
                self._parts.offer(view, gated, Moment.now())
                self._changed.notify_all()

    def _claim(self, frame: Frame, number: int) -> View | None:
        now = Moment.now()
        self._hear(now)
        shown = self._triggers.shown(frame)
        for announcement in () if self._full else shown.announced:
            self._parts.announce(announcement, now)
        age_s = max(0.0, (now.utc - frame.captured_at).total_seconds())
        exposed = min(frame.arrived, now.monotonic - age_s) - self._lag_s
        view = self._parts.claim(frame, shown.key, number, exposed)
        if view is not None:
            self._health.frame_taken(number, completes=view.completes)
        return view

    def _hear(self, now: Moment) -> None:
        """Take in the triggers that came from outside."""
        if self._deaf or self._full:
            return
        # What came before the stop is taken in still.
        self._deaf = self._stop.is_set()
        for announcement in self._triggers.arrived():
            self._parts.announce(announcement, now)

    def _inspect(self) -> None:
        while batch := self._next_batch():
            began = time.monotonic()
            self._health.engine_asked()
            judgements = self._inspector.judge(
                [view.gated for view in batch if view.gated is not None]
            )
            self._health.engine_answered()
            self._health.set_problem("engine", self._inspector.problem)
            with self._changed:
                now = Moment.now()
                self._parts.judged(batch, judgements, now.monotonic - began, now)
                self._changed.notify_all()

    def _next_batch(self) -> Sequence[View]:
        """What the engine is to see next, once it is time; empty when nothing will come any more."""
        with self._changed:
            while not self._recorded.is_set():
                now = Moment.now()
                wait_s = self._parts.batch_wait_s(now.monotonic)
                if wait_s is not None and (wait_s <= 0 or not self._reading):
                    batch = self._parts.take_batch(now)
                    self._changed.notify_all()
                    if batch:
                        return batch
                elif wait_s is None and not self._reading:
                    return ()
                else:
                    self._changed.wait(wait_s)
            return ()

    def _record(self) -> None:
        try:
            while answers := self._next_answers():
                self._recorder.record(answers, on_refusal=self._disk_refused, give_up=self._abandon)
        finally:
            with self._changed:
                self._recorded.set()
                self._changed.notify_all()

    def _next_answers(self) -> Sequence[PartAnswer]:
        """What is to be committed next; empty when nothing will come any more."""
        with self._changed:
            while True:
                now = Moment.now()
                self._hear(now)
                self._parts.tick(now)
                if answers := self._parts.take_answers():
                    self._changed.notify_all()
                    return answers
                if not self._reading and not len(self._parts):
                    return ()
                self._changed.wait(min(_HEAR_S, max(0.0, self._parts.due_at() - now.monotonic)))

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

    def _disk_refused(self, error: StateError) -> None:
        self._publish_states()
        if self._stop_when_full and isinstance(error, DiskFullError):
            # No more parts, and as long as a drain may take for somebody to free space.
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

    def health(self) -> Health:
        """The present state."""
        states = [camera.state for camera in self._cameras]
        problems = [state.problem for state in states if state.problem is not None]
        self._health.set_problem("camera", "; ".join(problems) or None)
        self._health.set_problem("broker", self._publisher.problem)
        self._health.set_problem("delivery", self._delivery.problem)
        if self._mirror is not None:
            self._health.set_problem("mirror", self._mirror.problem)
        with self._changed:
            parts, repeated, unasked = (
                self._parts.announced,
                self._parts.repeated,
                self._parts.unasked,
            )
        return self._health.snapshot(
            uptime_s=time.monotonic() - self._began,
            parts=parts,
            frames_unasked=unasked,
            triggers_repeated=repeated,
            triggers_ignored=self._triggers.ignored,
            pending=self._journal.pending_count,
            refused=self._journal.refused_count,
            requests_ignored=self._delivery.requests_ignored,
            not_mirrored=self._mirror.dropped if self._mirror is not None else 0,
            connections=self._publisher.connections,
            camera_restarts=sum(state.restarts for state in states),
            frames_lost=sum(state.lost for state in states),
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
        return health
