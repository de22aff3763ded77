"""The parts at the station: triggers, frames and judgements in, work for the engine and answers out.

Decides which part a frame is of, when a part is answered, and what with; every part that was
announced is answered exactly once, whatever comes in what order. Moments in, values out; no clock, no
thread, no lock. The rules:

- **One trigger, one part.** A key that was seen before, open or answered, is counted and nothing
  else. The last `REMEMBERED` are known; of this run of the station, not of earlier ones.
- **Which part a frame is of.** One that carries a key is of the part with that key. Any other is of
  the part that was announced last before the frame was exposed, because that one is in view then. A
  frame that no part waits for is of none.
- **When a part is answered.** When all its views are decided; `RESERVE_S` before its deadline, so
  that the commit is in time; and at once when one of its views is shed, since the others are of no
  use without it.
- **What is not there at the deadline** is `not_inspected` with the reason: `no_frame`, `overload`
  while it waits for the engine, `engine` while the engine has it or has answered nobody as long as
  the part is here.
- **Bounded**: `capacity` parts are open at most. Drop policy: the newest, answered at once with
  `overload`.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, auto

from edge_runtime import policy
from edge_runtime.batcher import MicroBatcher
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.verdict import Outcome, Timings
from edge_runtime.inspection import GatedFrame, Judgement, Moment, judge_unseen, milliseconds
from edge_runtime.policy import Decision, Unseen
from edge_runtime.triggers.base import Announcement

REMEMBERED = 10_000
"""Keys of answered parts: two hours at more than one part a second."""
RESERVE_S = 0.02
"""Kept of what a part is allowed, a quarter of it at most: a commit takes a few milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRules:
    """What a part consists of, and how it is answered."""

    cameras: tuple[int | None, ...] = (None,)
    """For each view of a part the camera that gives it, from 0; None for any."""
    allowed_s: float = math.inf
    """From the announcement to the answer, where that does not say otherwise."""
    unseen: Unseen = "not_inspected"
    capacity: int = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewAnswer:
    """What one view of a part says."""

    camera: int
    judgement: Judgement | None
    """None where no frame came."""
    decision: Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class PartAnswer:
    """What is said of a part, to be made a verdict."""

    announcement: Announcement
    captured_at: datetime
    decision: Decision
    decided: Moment
    timings_ms: Timings
    views: tuple[ViewAnswer, ...]
    complete: bool
    """All frames were there."""
    shed: bool
    """There was no time to inspect it."""

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """Of the views that there was a frame of."""
        return tuple(view.judgement for view in self.views if view.judgement is not None)


class _Stage(Enum):
    AWAITED = auto()
    TAKEN = auto()
    """There is a frame; it is decoded, or waits for the engine."""
    INFERRED = auto()
    """The engine has it."""
    DECIDED = auto()


@dataclass(slots=True, eq=False, kw_only=True)
class View:
    """A view of an open part; held by who works on it, and understood here alone."""

    part: "_Part"
    camera: int | None
    stage: _Stage = _Stage.AWAITED
    frame: Frame | None = None
    gated: GatedFrame | None = None
    judgement: Judgement | None = None
    decision: Decision | None = None

    @property
    def deadline(self) -> float:
        """By when the engine should be done with it, monotonic seconds; infinite for whenever."""
        return self.part.settle_by

    @property
    def completes(self) -> bool:
        """The frame of this view was the last that its part waited for."""
        return self.part.complete

    def decide(self, decision: Decision, judgement: Judgement | None) -> None:
        self.stage, self.decision, self.judgement = _Stage.DECIDED, decision, judgement


@dataclass(slots=True, eq=False, kw_only=True)
class _Part:
    announcement: Announcement
    settle_by: float
    views: list[View] = field(default_factory=list)
    open: bool = True
    shed: bool = False

    @property
    def complete(self) -> bool:
        return all(view.frame is not None for view in self.views)

    @property
    def decided(self) -> bool:
        return all(view.stage is _Stage.DECIDED for view in self.views)

    def awaits(self, camera: int) -> View | None:
        """The view that the next frame of a camera would be."""
        for view in self.views:
            if view.stage is _Stage.AWAITED and view.camera in (None, camera):
                return view
        return None


class Parts:
    """All parts that are open; used by one thread at a time."""

    def __init__(self, rules: PartRules, batcher: MicroBatcher[View]) -> None:
        self._rules = rules
        self._batcher = batcher
        self._open: dict[_Part, None] = {}
        """In the order they were announced."""
        self._by_key: dict[str, _Part] = {}
        self._timeline: deque[_Part] = deque(maxlen=2 * rules.capacity)
        """Those announced last, answered ones included: a frame is of the last one before it."""
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._answers: deque[PartAnswer] = deque()
        self._engine_since: float | None = None
        self.announced = 0
        """Parts so far; each has or gets one answer."""
        self.repeated = 0
        """Announcements of parts that were announced before."""
        self.unasked = 0
        """Frames that no part waited for."""

    def __len__(self) -> int:
        """Parts that are open."""
        return len(self._open)

    @property
    def awaits_frames(self) -> bool:
        """Whether an open part waits for a frame."""
        return any(not part.complete for part in self._open)

    @property
    def waiting_answers(self) -> int:
        """Answers that nobody has taken."""
        return len(self._answers)

    # --- what comes in ---------------------------------------------------------------------------

    def announce(self, announcement: Announcement, now: Moment) -> None:
        """A part is there."""
        known = self._by_key.get(announcement.key)
        if announcement.once and (known is not None or announcement.key in self._answered):
            self.repeated += 1
            return
        if known is not None and not known.complete:
            return
        allowed_s = announcement.allowed_s or self._rules.allowed_s
        part = _Part(
            announcement=announcement,
            settle_by=announcement.at + allowed_s - min(RESERVE_S, allowed_s / 4),
        )
        part.views = [View(part=part, camera=camera) for camera in self._rules.cameras]
        self.announced += 1
        self._open[part] = None
        self._by_key[announcement.key] = part
        self._timeline.append(part)
        if announcement.lost is not None:
            self._close(part, now, announcement.lost)
        elif len(self._open) > self._rules.capacity:
            part.shed = True
            self._close(part, now, f"overload: {self._rules.capacity} parts are open already")

    def claim(self, frame: Frame, key: str | None, camera: int, exposed: float) -> View | None:
        """The view that a frame is of, before it is decoded; None when nobody waits for it.

        `exposed` is when it was exposed, monotonic seconds. A claimed view is offered next.
        """
        part = self._in_view(exposed) if key is None else self._by_key.get(key)
        view = part.awaits(camera) if part is not None and part.open else None
        if view is None:
            self.unasked += 1
            return None
        view.stage, view.frame, view.camera = _Stage.TAKEN, frame, camera
        return view

    def has_room(self, view: View) -> bool:
        """Whether a view can be offered now; what has a deadline always can."""
        return view.deadline < math.inf or not self._batcher.full or not view.part.open

    def offer(self, view: View, gated: GatedFrame, now: Moment) -> None:
        """The frame of a claimed view is decoded and may go to the engine."""
        if not view.part.open:
            return
        view.gated = gated
        displaced = self._batcher.offer(view, now.monotonic, view.deadline)
        if displaced is not None:
            self._shed(displaced.item, displaced.reason, now)

    def judged(
        self, views: Sequence[View], judgements: Sequence[Judgement], took_s: float, now: Moment
    ) -> None:
        """The engine has answered for what it was given last, in so many seconds."""
        self._engine_since = None
        seen = sum(judgement.pixels is not None for judgement in judgements)
        if seen:
            self._batcher.learn(seen, took_s)
        for view, judgement in zip(views, judgements, strict=True):
            if view.part.open:
                view.decide(judgement.decision, judgement)
                if view.part.decided:
                    self._close(view.part, now)

    def tick(self, now: Moment) -> None:
        """Answer what is due."""
        due = [part for part in self._open if part.settle_by <= now.monotonic]
        for part in due:
            self._close(part, now)

    def end(self, now: Moment) -> None:
        """No further frame will come."""
        for part in [part for part in self._open if not part.complete]:
            for view in part.views:
                if view.stage is _Stage.AWAITED:
                    view.decide(policy.not_inspected("no_frame: none came before the end"), None)
            if part.decided:
                self._close(part, now)

    def abandon(self, why: str, now: Moment) -> None:
        """Answer everything now."""
        for part in list(self._open):
            self._close(part, now, why)

    # --- what goes out ---------------------------------------------------------------------------

    def batch_wait_s(self, now: float) -> float | None:
        """Seconds until there is a batch to take, 0 when there is; None while nothing waits."""
        return self._batcher.wait_s(now)

    def take_batch(self, now: Moment) -> tuple[View, ...]:
        """What the engine gets next; may be empty. Its judgements are due then."""
        taken = self._batcher.take(now.monotonic)
        for shed in taken.shed:
            self._shed(shed.item, shed.reason, now)
        batch = tuple(view for view in taken.batch if view.part.open)
        for view in batch:
            view.stage = _Stage.INFERRED
        if batch:
            self._engine_since = now.monotonic
        return batch

    def due_at(self) -> float:
        """When the next part is due, monotonic seconds; infinite when none is."""
        return min((part.settle_by for part in self._open), default=math.inf)

    def take_answers(self) -> tuple[PartAnswer, ...]:
        """Answers since the last call, in the order they were decided."""
        answers = tuple(self._answers)
        self._answers.clear()
        return answers

    # --- the rules -------------------------------------------------------------------------------

    def _in_view(self, exposed: float) -> _Part | None:
        for part in reversed(self._timeline):
            if part.announcement.at <= exposed:
                return part
        return None

    def _shed(self, view: View, why: str, now: Moment) -> None:
        if view.part.open:
            view.part.shed = True
            self._close(view.part, now, f"overload: {why}")

    def _close(self, part: _Part, now: Moment, why: str | None = None) -> None:
        """Answer a part; `why` is said of views that are not decided, where there is a better reason
        than the deadline."""
        complete, punctual = part.complete, part.decided
        for view in part.views:
            if view.stage is not _Stage.DECIDED:
                self._decide_unseen(view, why or self._why_late(view, now.monotonic), now)
        if not punctual:
            self._batcher.withdraw(part.views)
        part.open = False
        del self._open[part]
        if self._by_key.get(part.announcement.key) is part:
            del self._by_key[part.announcement.key]
        if part.announcement.once:
            self._remember(part.announcement.key)
        self._answers.append(self._answer(part, now, complete=complete, punctual=punctual))
        # What is remembered of it is when it was there; its frames are let go of, at once and not when
        # somebody looks for cycles: a view knows its part.
        part.views.clear()

    def _why_late(self, view: View, now: float) -> str:
        waited_ms = (now - view.part.announcement.at) * 1000
        if view.stage is _Stage.AWAITED:
            return f"no_frame: none within {waited_ms:.0f} ms"
        since = self._engine_since
        if since is not None and (
            view.stage is _Stage.INFERRED or since <= view.part.announcement.at
        ):
            return f"engine: no answer for {(now - since) * 1000:.0f} ms"
        view.part.shed = True
        return f"overload: waited {waited_ms:.0f} ms, and the deadline is here"

    def _decide_unseen(self, view: View, why: str, now: Moment) -> None:
        if view.frame is None:
            view.decide(policy.not_inspected(why), None)
            return
        gated = view.gated or GatedFrame(
            frame=view.frame,
            pixels=None,
            rejection=None,
            statistics=None,
            preprocess_s=0.0,
            camera=view.camera or 0,
        )
        judgement = judge_unseen(gated, why, now)
        view.decide(judgement.decision, judgement)

    def _remember(self, key: str) -> None:
        self._answered[key] = None
        if len(self._answered) > REMEMBERED:
            self._answered.popitem(last=False)

    def _answer(self, part: _Part, now: Moment, *, complete: bool, punctual: bool) -> PartAnswer:
        views = tuple(
            ViewAnswer(camera=view.camera or 0, judgement=view.judgement, decision=view.decision)
            for view in part.views
            if view.decision is not None
        )
        decision = policy.combine([view.decision for view in views], self._rules.unseen)
        judgements = [view.judgement for view in views if view.judgement is not None]
        last = max(judgements, key=lambda judgement: judgement.decided, default=None)
        return PartAnswer(
            announcement=part.announcement,
            captured_at=min(
                (judgement.frame.captured_at for judgement in judgements),
                default=part.announcement.triggered_at or now.utc,
            ),
            decision=decision,
            decided=Moment(last.decided, last.decided_at) if punctual and last else now,
            timings_ms=_unseen_timings(part, now) if last is None else last.timings_ms,
            views=views,
            complete=complete,
            shed=part.shed and decision.outcome is not Outcome.DEFECT,
        )


def _unseen_timings(part: _Part, now: Moment) -> Timings:
    waited = milliseconds(now.monotonic - part.announcement.at)
    return Timings(wait=waited, preprocess=0.0, infer=0.0)


def every(cameras: Iterable[int], frames: int) -> tuple[int | None, ...]:
    """The views of a part of which each camera gives so many frames."""
    return tuple(camera for camera in cameras for _ in range(frames))
