"""The threads that a part passes: frames are taken in, inspected, and their verdicts committed.

    cameras -> [capture] -> gate -> parts -> [inspect] -> engine, policy
    triggers ------------------------^  \\-> [record] -> committer

Each name in brackets is a thread, `capture` one for each camera. What they share is the book of `parts`,
behind one lock; what a part is and how it is answered is decided there. The thread that records also
answers what is due, so that no deadline waits for an engine. Bounded are

- **frames for the engine** (`batcher`): without a deadline their camera waits for room, so that a slow
  engine slows a patient source down; those with one are shed when they cannot be inspected in time.
- **open parts** (`parts`): the newest is answered `not_inspected(overload: ...)`.
- **answers for the journal**: nothing more is taken in until there is room, whatever the source. A disk
  that refuses so slows the cameras down; what a live one then drops is counted by it (`frames_lost`).

Nobody can end a thread that a vendor's code does not return to. So the threads of cameras and the engine
are waited for a while only, and the process may end without them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from edge_runtime.batcher import MicroBatcher
from edge_runtime.cameras.base import CameraSource, EndOfStream
from edge_runtime.committer import Committer
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import CameraError, EdgeInspectError, EngineHangsError, StateError
from edge_runtime.health import HealthLog
from edge_runtime.inspection import Inspector, Measure, Moment, gate
from edge_runtime.parts import PartAnswer, PartRules, Parts, View
from edge_runtime.quality.gate import QualityGate
from edge_runtime.triggers.base import TriggerSource

_POLL_S = 0.2
"""How often a camera without a frame is left to see whether to stop."""
_HEAR_S = 0.02
"""How often triggers from outside are taken in while nothing else happens."""
_LET_GO_S = 5.0
"""How long a camera or an engine may still be busy when all parts are answered."""


class Pipeline:
    """The parts of one station on their way; started once."""

    def __init__(
        self,
        *,
        cameras: Sequence[CameraSource],
        triggers: TriggerSource,
        rules: PartRules,
        lag_s: float,
        spec: InputSpec,
        measure: Measure | None,
        gates: Sequence[QualityGate | None],
        inspector: Inspector,
        committer: Committer,
        health: HealthLog,
        max_batch: int,
        max_wait_s: float,
        part_limit: int | None,
        on_refusal: Callable[[StateError], None],
    ) -> None:
        """`lag_s` is how much longer ago than it says a frame may have been exposed, seconds.
        `on_refusal` is told each time the disk does not take verdicts."""
        self._cameras = tuple(cameras)
        self._triggers = triggers
        self._lag_s = lag_s
        self._spec = spec
        self._measure = measure
        self._gates = tuple(gates)
        self._inspector = inspector
        self._committer = committer
        self._health = health
        self._part_limit = part_limit
        self._on_refusal = on_refusal
        self._lock = threading.Lock()
        """Guards the parts and which cameras are read."""
        self._room = threading.Condition(self._lock)
        """Who takes in frames waits for it."""
        self._work = threading.Condition(self._lock)
        """Who inspects waits for it."""
        self._news = threading.Condition(self._lock)
        """Who records waits for it."""
        self._parts = Parts(rules, MicroBatcher[View](max_batch, max_wait_s))
        self._reading = set(range(len(self._cameras)))
        self._deaf = False
        self._answers_limit = 4 * max_batch
        self._threads: list[threading.Thread] = []
        self._stop = threading.Event()
        self._abandon = threading.Event()
        self.finished = threading.Event()
        """No part is on its way any more."""
        self.failure: BaseException | None = None
        """What ended it, where it was no stop, limit or end of the sources."""

    def start(self, stop: threading.Event) -> None:
        """Take parts in until `stop` is set, the sources end or the part limit is reached.

        Sets `stop` itself when a stage fails.
        """
        self._stop = stop
        stages: list[tuple[str, Callable[[], None]]] = [
            (f"capture {number}", partial(self._capture, number, camera))
            for number, camera in enumerate(self._cameras)
        ]
        stages += [("inspect", self._inspect), ("record", self._record)]
        for name, stage in stages:
            thread = threading.Thread(target=self._guarded, args=(stage,), name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def give_up(self) -> None:
        """Take in nothing more, and answer what is open without waiting for anybody."""
        self._abandon.set()
        busy_s = self._inspector.busy_s()
        why = f"engine: no answer for {busy_s * 1000:.0f} ms" if busy_s else "stopped: not decided"
        with self._lock:
            self._reading.clear()
            self._parts.abandon(why, Moment.now())
            self._tell_all()

    @property
    def hopeless(self) -> bool:
        """A stage failed in a way that makes waiting useless."""
        return self._abandon.is_set()

    def let_go(self) -> None:
        """Once it is finished, wait for what still holds cameras and engine, but not for ever."""
        deadline = time.monotonic() + _LET_GO_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        stuck = [thread.name for thread in self._threads if thread.is_alive()]
        if not stuck or self.failure is not None:
            return
        if "inspect" in stuck:
            self.failure = EngineHangsError(
                f"the engine has not answered for {self._inspector.busy_s():.0f} s; all parts were "
                "answered without it: see the log of its driver and device"
            )
        else:
            self.failure = CameraError(f"{', '.join(stuck)} hangs; all parts were answered")

    def counts(self) -> tuple[int, int, int]:
        """Parts announced, announcements that were repeated, and frames that no part waited for."""
        with self._lock:
            return self._parts.announced, self._parts.repeated, self._parts.unasked

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
            with self._lock:
                self._reading.discard(number)
                if not self._reading:
                    self._parts.end(Moment.now())
                self._tell_all()

    def _sated(self) -> bool:
        """No part is taken in any more, and none that was waits for a frame."""
        with self._lock:
            if self.finished.is_set():
                return True
            return (self._stop.is_set() or self._full) and not self._parts.awaits_frames

    @property
    def _full(self) -> bool:
        return self._part_limit is not None and self._parts.announced >= self._part_limit

    def _take_in(self, frame: Frame, number: int) -> None:
        with self._lock:
            self._await(lambda: self._parts.waiting_answers < self._answers_limit)
            view = self._claim(frame, number) if number in self._reading else None
            self._tell_news()
        if view is None:
            return
        gated = gate(frame, self._spec, self._measure, self._gates[number], number)
        with self._lock:
            self._await(lambda: self._parts.has_room(view))
            if not self.finished.is_set():
                now = Moment.now()
                waited_s = self._parts.batch_wait_s(now.monotonic)
                self._parts.offer(view, gated, now)
                self._tell_news()
                # Who waits for a batch already need not hear of a frame that changes nothing.
                if waited_s is None or self._parts.batch_wait_s(now.monotonic) == 0:
                    self._work.notify()

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
        """Take in the triggers that came from outside, until the stop."""
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
            # Who records is told in `_next_batch`, once there is one: both share an interpreter.
            with self._lock:
                now = Moment.now()
                self._parts.judged(batch, judgements, now.monotonic - began, now)

    def _next_batch(self) -> Sequence[View]:
        """What the engine is to see next, once it is time; empty when nothing will come any more."""
        with self._lock:
            while not self.finished.is_set():
                now = Moment.now()
                wait_s = self._parts.batch_wait_s(now.monotonic)
                if wait_s is not None and (wait_s <= 0 or not self._reading):
                    batch = self._parts.take_batch(now)
                    self._room.notify_all()
                    self._tell_news()
                    if batch:
                        return batch
                elif wait_s is None and not self._reading:
                    break
                else:
                    self._tell_news()
                    self._work.wait(wait_s)
            self._tell_news()
            return ()

    def _record(self) -> None:
        try:
            while answers := self._next_answers():
                self._committer.commit(answers, on_refusal=self._on_refusal, give_up=self._abandon)
        finally:
            with self._lock:
                self.finished.set()
                self._tell_all()

    def _next_answers(self) -> Sequence[PartAnswer]:
        """What is to be committed next; empty when nothing will come any more."""
        with self._lock:
            while True:
                now = Moment.now()
                self._hear(now)
                self._parts.tick(now)
                if answers := self._parts.take_answers():
                    self._room.notify_all()
                    return answers
                if not self._reading and not len(self._parts):
                    return ()
                self._news.wait(min(_HEAR_S, max(0.0, self._parts.due_at() - now.monotonic)))

    # --- what they have in common ----------------------------------------------------------------

    def _guarded(self, stage: Callable[[], None]) -> None:
        """Run a stage; whatever ends it ends the station, after the later stages have finished."""
        try:
            stage()
        except BaseException as exc:  # noqa: BLE001 - supervision edge: the station raises it again
            if self.failure is None:
                self.failure = exc
            if not isinstance(exc, EdgeInspectError):
                self._abandon.set()
            self._stop.set()

    def _await(self, condition: Callable[[], bool]) -> None:
        """Wait for room, but not when nobody records any more; the lock is held, as below."""
        self._room.wait_for(lambda: condition() or self.finished.is_set())

    def _tell_news(self) -> None:
        if self._parts.waiting_answers:
            self._news.notify()

    def _tell_all(self) -> None:
        for waiting in (self._room, self._work, self._news):
            waiting.notify_all()
