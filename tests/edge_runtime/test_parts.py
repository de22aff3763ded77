"""The book of parts, moment by moment: no thread, no clock."""

import gc
import math
import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime import policy
from edge_runtime.batcher import MicroBatcher
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.verdict import Outcome, Timings
from edge_runtime.inspection import GatedFrame, Judgement, Moment
from edge_runtime.parts import PartAnswer, PartRules, Parts, View, every
from edge_runtime.policy import Decision
from edge_runtime.triggers.base import Announcement

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PIXELS = np.zeros((4, 4, 3), np.uint8)
OK = Decision(outcome=Outcome.OK, label="good", scores={"good": 0.9, "bad": 0.1}, reason=None)
DEFECT = Decision(
    outcome=Outcome.DEFECT, label="bad", scores={"good": 0.1, "bad": 0.9}, reason=None
)
REVIEW = Decision(outcome=Outcome.REVIEW, label="bad", scores={"good": 0.5, "bad": 0.5}, reason="?")


def moment(at: float) -> Moment:
    return Moment(at, BEGIN + timedelta(seconds=at))


def frame(at: float, name: str = "frame") -> Frame:
    return Frame(part_id=name, captured_at=moment(at).utc, arrived=at, image=PIXELS)


def announcement(key: str, at: float, **more: object) -> Announcement:
    return Announcement(key=key, part_id=key, at=at, triggered_at=moment(at).utc, **more)  # type: ignore[arg-type]


def gated(view: View, rejection: str | None = None) -> GatedFrame:
    assert view.frame is not None
    return GatedFrame(
        frame=view.frame,
        pixels=PIXELS if rejection is None else None,
        rejection=rejection,
        statistics=None,
        preprocess_s=0.0,
        camera=view.camera or 0,
    )


def judgement(view: View, decision: Decision, at: float) -> Judgement:
    assert view.gated is not None
    return Judgement(
        frame=view.gated.frame,
        pixels=view.gated.pixels,
        decision=decision
        if view.gated.rejection is None
        else policy.not_inspected(view.gated.rejection),
        decided_at=moment(at).utc,
        decided=at,
        statistics=None,
        features=None,
        timings_ms=Timings(wait=0, preprocess=0, infer=1),
        camera=view.gated.camera,
    )


@dataclass
class Played:
    """A book with whoever works on it, played by the test."""

    rules: PartRules = field(default_factory=PartRules)
    max_batch: int = 4
    with_engine: Sequence[View] = ()

    def __post_init__(self) -> None:
        self.parts = Parts(self.rules, MicroBatcher[View](self.max_batch, 0.0))

    def trigger(self, key: str, at: float, **more: object) -> None:
        self.parts.announce(announcement(key, at, **more), moment(at))

    def see(self, camera: int, exposed: float, at: float, key: str | None = None) -> View | None:
        view = self.parts.claim(frame(exposed, f"c{camera}@{exposed}"), key, camera, exposed)
        if view is not None:
            self.parts.offer(view, gated(view), moment(at))
        return view

    def infer(self, at: float, *decisions: Decision, took_s: float = 0.01) -> None:
        batch = self.parts.take_batch(moment(at))
        chosen = decisions or (OK,) * len(batch)
        judgements = [
            judgement(view, decision, at + took_s)
            for view, decision in zip(batch, chosen, strict=True)
        ]
        self.parts.judged(batch, judgements, took_s, moment(at + took_s))

    def answers(self) -> dict[str, PartAnswer]:
        given = self.parts.take_answers()
        assert len({answer.announcement.key for answer in given}) == len(given)
        return {answer.announcement.part_id: answer for answer in given}


def test_a_part_is_answered_when_all_its_views_are_judged() -> None:
    played = Played(PartRules(cameras=every(range(2), 1), allowed_s=1.0))
    played.trigger("a", 0.0)
    assert played.parts.awaits_frames
    played.see(0, 0.1, 0.1)
    played.infer(0.1)
    assert played.answers() == {}
    played.see(1, 0.2, 0.2)
    assert not played.parts.awaits_frames
    played.infer(0.2)
    answer = played.answers()["a"]
    assert answer.decision.outcome is Outcome.OK
    assert [view.camera for view in answer.views] == [0, 1]
    assert (answer.complete, answer.shed) == (True, False)
    assert answer.decided.monotonic == pytest.approx(0.21)
    assert answer.captured_at == moment(0.1).utc
    assert len(played.parts) == 0


@pytest.mark.parametrize(
    ("decisions", "outcome"),
    [
        ((OK, OK), Outcome.OK),
        ((OK, DEFECT), Outcome.DEFECT),
        ((OK, REVIEW), Outcome.REVIEW),
        ((REVIEW, DEFECT), Outcome.DEFECT),
    ],
)
def test_any_defect_is_the_parts_and_any_doubt_a_persons(
    decisions: tuple[Decision, Decision], outcome: Outcome
) -> None:
    played = Played(PartRules(cameras=every(range(2), 1)))
    played.trigger("a", 0.0)
    played.see(0, 0.1, 0.1)
    played.see(1, 0.1, 0.1)
    played.infer(0.2, *decisions)
    assert played.answers()["a"].decision.outcome is outcome


@pytest.mark.parametrize("unseen", ["not_inspected", "review"])
def test_what_was_not_seen_in_full_is_no_good_part(unseen: policy.Unseen) -> None:
    played = Played(PartRules(cameras=every(range(2), 1), allowed_s=1.0, unseen=unseen))
    for key, decision in (("ok", OK), ("defect", DEFECT)):
        played.trigger(key, 0.0 if key == "ok" else 0.5)
        played.see(0, 0.1 if key == "ok" else 0.6, 0.6)
        played.infer(0.6, decision)
    played.parts.tick(moment(1.6))
    answers = played.answers()
    assert answers["ok"].decision.outcome.value == unseen
    assert answers["ok"].decision.reason == "no_frame: none within 1600 ms (view 2 of 2)"
    assert answers["defect"].decision.outcome is Outcome.DEFECT, "a defect that was seen is one"
    assert answers["ok"].views[1].judgement is None
    assert not answers["ok"].complete


def test_a_frame_that_was_exposed_before_the_trigger_is_not_the_parts() -> None:
    played = Played(PartRules(cameras=(0,), allowed_s=1.0))
    played.trigger("a", 1.0)
    for exposed in (0.2, 0.9, 0.999):
        assert played.see(0, exposed, 1.1) is None
    assert played.parts.unasked == 3
    view = played.see(0, 1.001, 1.1)
    assert view is not None
    played.infer(1.1)
    assert played.answers()["a"].judgements[0].frame.arrived == 1.001


def test_a_frame_is_of_the_part_that_was_in_view_when_it_was_exposed() -> None:
    """A part whose picture was lost must not be given the next part's."""
    played = Played(PartRules(cameras=(0,), allowed_s=1.0))
    played.trigger("lost", 0.0)
    played.trigger("next", 0.5)
    played.see(0, 0.6, 0.6)
    played.infer(0.6)
    assert list(played.answers()) == ["next"]
    late = played.see(0, 0.4, 0.7)
    assert late is not None, "exposed before the next trigger, and only late"
    played.infer(0.7)
    assert list(played.answers()) == ["lost"]
    assert played.see(0, 0.8, 0.8) is None, "the next part was answered, and nobody else is in view"


def test_a_trigger_that_comes_twice_is_answered_once_whether_before_or_after_the_answer() -> None:
    played = Played(PartRules(cameras=(0,)))
    played.trigger("a", 0.0)
    played.trigger("a", 0.1)
    played.see(0, 0.2, 0.2)
    played.infer(0.2)
    played.trigger("a", 0.3)
    assert list(played.answers()) == ["a"]
    assert (played.parts.announced, played.parts.repeated, len(played.parts)) == (1, 2, 0)


def test_a_name_that_may_come_again_is_another_part_once_the_first_lacks_nothing() -> None:
    played = Played(PartRules(cameras=(None, None)))
    for _ in range(3):
        played.trigger("P1", 0.0, once=False)
        assert played.see(0, 0.0, 0.0, key="P1") is not None
    assert (played.parts.announced, played.parts.repeated) == (2, 0)
    played.infer(0.1)
    assert len(played.answers()) == 1
    played.parts.end(moment(0.2))
    assert (
        played.answers()["P1"].decision.reason == "no_frame: none came before the end (view 2 of 2)"
    )


def test_a_part_is_answered_before_its_deadline_whatever_the_engine_does() -> None:
    played = Played(PartRules(cameras=(0,), allowed_s=1.0), max_batch=1)
    played.trigger("with the engine", 0.0)
    played.see(0, 0.1, 0.1)
    batch = played.parts.take_batch(moment(0.1))
    played.trigger("behind it", 0.5)
    played.see(0, 0.6, 0.6)
    assert played.parts.due_at() == pytest.approx(0.98)
    played.parts.tick(moment(0.98))
    answer = played.answers()["with the engine"]
    assert answer.decision.reason == "engine: no answer for 880 ms"
    assert not answer.shed, "it is the engine's fault, and not too much work"
    played.parts.tick(moment(1.48))
    assert played.answers()["behind it"].decision.reason == "engine: no answer for 1380 ms"
    played.parts.judged(batch, [judgement(batch[0], OK, 2.0)], 1.9, moment(2.0))
    assert played.answers() == {}, "what comes too late changes no answer"


def test_a_trigger_may_allow_less_time_than_the_station() -> None:
    played = Played(PartRules(cameras=(0,), allowed_s=10.0))
    played.trigger("hurried", 0.0, allowed_s=0.04)
    assert played.parts.due_at() == pytest.approx(0.03), (
        "a quarter at the most is kept for the commit"
    )


def test_a_part_of_which_one_view_is_shed_is_shed_as_a_whole() -> None:
    played = Played(PartRules(cameras=every(range(2), 1), allowed_s=1.0), max_batch=2)
    for number, key in enumerate("abc"):
        played.trigger(key, 0.1 * number)
        for camera in (0, 1):
            played.see(camera, 0.1 * number + 0.05, 0.1 * number + 0.05)
    answers = played.answers()
    assert list(answers) == ["c"]
    assert answers["c"].decision.reason == "overload: 4 wait already (view 1 of 2)"
    assert answers["c"].shed
    played.infer(0.4)
    played.infer(0.4)
    assert list(played.answers()) == ["a", "b"]


def test_no_more_than_so_many_parts_are_open_and_the_newest_beyond_is_answered_at_once() -> None:
    played = Played(PartRules(cameras=(0,), capacity=3))
    for number in range(5):
        played.trigger(str(number), float(number))
    answers = played.answers()
    assert list(answers) == ["3", "4"]
    assert answers["3"].decision.reason == "overload: 3 parts are open already"
    assert len(played.parts) == 3


def test_a_part_whose_frame_is_known_to_be_lost_is_answered_at_once() -> None:
    played = Played()
    played.trigger("7", 1.0, lost="frame_lost: number 7 did not come")
    answer = played.answers()["7"]
    assert answer.decision == policy.not_inspected("frame_lost: number 7 did not come")
    assert answer.captured_at == moment(1.0).utc


def test_the_gates_reason_counts_more_than_the_haste() -> None:
    played = Played(PartRules(cameras=(0,), allowed_s=1.0))
    played.trigger("a", 0.0)
    view = played.parts.claim(frame(0.1), None, 0, 0.1)
    assert view is not None
    played.parts.offer(view, gated(view, rejection="blank: all black"), moment(0.1))
    played.parts.tick(moment(1.0))
    assert played.answers()["a"].decision.reason == "blank: all black"


keys = st.sampled_from([f"k{number}" for number in range(12)])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("trigger"), keys, st.one_of(st.none(), st.floats(0.01, 2.0))),
        st.tuples(st.just("frame"), st.integers(0, 1), st.floats(-0.5, 0.1)),
        st.tuples(st.just("offer"), st.integers(0, 20)),
        st.tuples(st.just("take")),
        st.tuples(st.just("judged"), st.sampled_from([OK, DEFECT, REVIEW])),
        st.tuples(st.just("wait"), st.floats(0, 0.6)),
        st.tuples(st.just("end")),
    ),
    max_size=80,
)


@settings(max_examples=300)
@given(
    steps=steps,
    allowed_s=st.one_of(st.just(math.inf), st.floats(0.02, 1.0)),
    frames=st.integers(1, 2),
    capacity=st.integers(1, 6),
    max_batch=st.integers(1, 3),
    ticks=st.booleans(),
)
def test_every_trigger_has_exactly_one_answer_whatever_comes_in_what_order(
    steps: list[tuple[object, ...]],
    allowed_s: float,
    frames: int,
    capacity: int,
    max_batch: int,
    ticks: bool,
) -> None:
    rules = PartRules(cameras=every(range(2), frames), allowed_s=allowed_s, capacity=capacity)
    parts = Parts(rules, MicroBatcher[View](max_batch, 0.05))
    now, triggers = 0.0, Counter[str]()
    claimed: list[View] = []
    batch: tuple[View, ...] = ()
    answers: list[PartAnswer] = []
    for step in steps:
        match step:
            case ("trigger", str(key), allowed):
                triggers[key] += 1
                parts.announce(announcement(key, now, allowed_s=allowed), moment(now))
            case ("frame", int(camera), float(offset)):
                view = parts.claim(frame(now + offset), None, camera, now + offset)
                claimed += [] if view is None else [view]
            case ("offer", int(index)) if claimed:
                view = claimed[index % len(claimed)]
                if parts.has_room(view):
                    claimed.remove(view)
                    parts.offer(view, gated(view), moment(now))
            case ("take",) if not batch:
                batch = parts.take_batch(moment(now))
            case ("judged", Decision() as decision) if batch:
                parts.judged(
                    batch, [judgement(view, decision, now) for view in batch], 0.1, moment(now)
                )
                batch = ()
            case ("wait", float(seconds)):
                due = parts.due_at()
                now += seconds
                if ticks and due <= now:
                    parts.tick(moment(due))
                    parts.tick(moment(now))
            case ("end",):
                parts.end(moment(now))
        answers += parts.take_answers()
        assert len(parts) <= capacity
        assert len(answers) + len(parts) == parts.announced == len(triggers)
    parts.abandon("stopped: not decided", moment(now))
    answers += parts.take_answers()
    assert Counter(answer.announcement.key for answer in answers) == Counter(
        dict.fromkeys(triggers, 1)
    )
    assert parts.repeated == triggers.total() - len(triggers)
    for answer in answers:
        for judged in answer.judgements:
            assert judged.frame.arrived >= answer.announcement.at, "exposed after its trigger"
        if answer.decision.outcome is Outcome.OK:
            assert all(view.decision.outcome is Outcome.OK for view in answer.views)


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Nobody looks for cycles meanwhile: a frame must go when the last one lets go of it."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_what_was_answered_keeps_no_picture_in_memory() -> None:
    played = Played()
    image = np.zeros((8, 8, 3), np.uint8)
    seen = weakref.ref(image)
    taken = Frame(part_id="a", captured_at=moment(0.0).utc, arrived=0.0, image=image)
    played.trigger("a", 0.0)
    view = played.parts.claim(taken, "a", 0, 0.0)
    assert view is not None
    played.parts.offer(view, gated(view), moment(0.0))
    del image, taken, view
    assert seen() is not None, "control: a part that is open keeps its frame"
    played.infer(0.1)
    assert played.answers()["a"].decision is OK
    assert seen() is None
