import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.batcher import MicroBatcher
from edge_runtime.pace import Pace


def learnt(fixed_s: float = 0.0, each_s: float = 0.0) -> Pace:
    pace = Pace()
    for frames in (1, 8) * 20:
        pace.learn(frames, fixed_s + each_s * frames)
    return pace


def test_a_batch_is_due_when_it_is_full() -> None:
    batcher = MicroBatcher[str](2, 10.0)
    batcher.offer("a", 0.0)
    assert not batcher.due(0.0)
    batcher.offer("b", 0.0)
    assert batcher.due(0.0)
    assert batcher.take(0.0).batch == ("a", "b")
    assert len(batcher) == 0


def test_a_batch_is_due_when_its_first_item_has_waited_long_enough() -> None:
    batcher = MicroBatcher[str](8, 0.5)
    batcher.offer("a", 1.0)
    batcher.offer("b", 1.4)
    assert batcher.wait_s(1.2) == pytest.approx(0.3)
    assert not batcher.due(1.49)
    assert batcher.due(1.5)
    assert batcher.wait_s(2.0) == 0.0


def test_a_batch_is_due_before_waiting_costs_the_earliest_deadline() -> None:
    batcher = MicroBatcher[str](8, 10.0, pace=learnt(each_s=0.1))
    batcher.offer("a", 0.0, deadline=1.0)
    assert batcher.wait_s(0.0) == pytest.approx(0.9, abs=0.02)


def test_an_empty_batcher_is_never_due() -> None:
    batcher = MicroBatcher[str](8, 0.0)
    assert not batcher.due(1e9)
    assert batcher.wait_s(1e9) is None
    assert batcher.take(0.0).batch == ()


def test_who_can_wait_waits_for_room() -> None:
    batcher = MicroBatcher[int](1, 0.0, capacity=1)
    batcher.offer(1, 0.0)
    assert batcher.full
    with pytest.raises(OverflowError, match="take some first"):
        batcher.offer(2, 0.0)


@pytest.mark.parametrize(
    ("size", "wait", "capacity"), [(0, 1.0, None), (-1, 1.0, None), (1, -0.1, None), (8, 1.0, 7)]
)
def test_impossible_limits_are_refused(size: int, wait: float, capacity: int | None) -> None:
    with pytest.raises(ValueError, match="must"):
        MicroBatcher[int](size, wait, capacity=capacity)


def test_the_earliest_deadline_goes_first_and_none_at_all_last() -> None:
    batcher = MicroBatcher[str](4, 0.0, capacity=8)
    for item, deadline in (
        ("any time", math.inf),
        ("late", 3.0),
        ("early", 1.0),
        ("late too", 3.0),
    ):
        batcher.offer(item, 0.0, deadline)
    assert batcher.take(0.0).batch == ("early", "late", "late too", "any time")


def test_a_batch_is_as_large_as_its_first_deadline_allows() -> None:
    batcher = MicroBatcher[int](8, 0.0, pace=learnt(each_s=0.1))
    batcher.offer(0, 0.0, deadline=0.35)
    for item in range(1, 8):
        batcher.offer(item, 0.0, deadline=5.0)
    taken = batcher.take(0.0)
    assert taken.batch == (0, 1, 2)
    assert taken.shed == ()
    assert len(batcher) == 5


def test_what_cannot_be_answered_in_time_is_shed_at_once() -> None:
    batcher = MicroBatcher[int](4, 0.0, capacity=20, pace=learnt(each_s=0.1))
    for item in range(20):
        batcher.offer(item, 0.0, deadline=1.0)
    taken = batcher.take(0.0)
    assert taken.batch == (0, 1, 2, 3)
    assert [shed.item for shed in taken.shed] == list(range(10, 20))
    assert "1000 ms left are too few" in taken.shed[0].reason


def test_full_batches_are_kept_where_small_ones_would_cost_more_parts_than_they_save() -> None:
    """A queue that has slipped to the brink must not make every batch one of a single part."""
    batcher = MicroBatcher[int](8, 0.0, capacity=16, pace=learnt(fixed_s=0.1, each_s=0.001))
    for item in range(16):
        batcher.offer(item, 0.0, deadline=0.1015 + 0.0004 * item)
    taken = batcher.take(0.0)
    assert len(taken.batch) == 1, "here it costs nothing: one batch is all that there is time for"
    batcher = MicroBatcher[int](8, 0.0, capacity=16, pace=learnt(fixed_s=0.1, each_s=0.001))
    for item in range(16):
        batcher.offer(item, 0.0, deadline=0.104 + 0.01 * item)
    taken = batcher.take(0.0)
    assert len(taken.batch) == 8
    assert [shed.item for shed in taken.shed][:1] == [0]


def test_a_full_batcher_sheds_the_latest_deadline() -> None:
    batcher = MicroBatcher[str](2, 0.0, capacity=2)
    batcher.offer("patient", 0.0)
    batcher.offer("far", 0.0, deadline=9.0)
    shed = batcher.offer("near", 0.0, deadline=1.0)
    assert shed is not None
    assert (shed.item, shed.reason) == ("far", "2 wait already")
    shed = batcher.offer("farther", 0.0, deadline=2.0)
    assert shed is not None
    assert shed.item == "farther"
    assert batcher.take(0.0).batch == ("near", "patient")


def test_an_engine_thought_too_slow_is_tried_all_the_same() -> None:
    batcher = MicroBatcher[int](8, 0.0, pace=learnt(each_s=10.0))
    for item in range(8):
        batcher.offer(item, 0.0, deadline=1.0)
    for _ in range(80):
        taken = batcher.take(0.0)
        assert len(taken.batch) >= 1
        batcher.learn(len(taken.batch), 0.01 * len(taken.batch))
        while not batcher.full:
            batcher.offer(0, 0.0, deadline=1.0)
    assert len(batcher.take(0.0).batch) == 8


@given(
    gaps=st.lists(st.floats(0, 2), max_size=60),
    size=st.integers(1, 5),
    wait=st.floats(0, 1),
)
def test_without_deadlines_every_item_leaves_once_in_order_and_in_time(
    gaps: list[float], size: int, wait: float
) -> None:
    batcher = MicroBatcher[tuple[int, float]](size, wait, capacity=size)
    now, left = 0.0, []
    for index, gap in enumerate(gaps):
        pause = batcher.wait_s(now)
        if pause is not None and pause <= gap:
            batch = batcher.take(now + pause).batch
            assert len(batch) <= size
            assert now + pause - batch[0][1] <= wait + 1e-6
            left += batch
        now += gap
        if batcher.full:
            left += batcher.take(now).batch
        batcher.offer((index, now), now)
    while len(batcher):
        left += batcher.take(now).batch
    assert [index for index, _ in left] == list(range(len(gaps)))


arrivals = st.lists(
    st.tuples(st.floats(0, 0.2), st.one_of(st.floats(0, 1.5), st.just(math.inf))), max_size=80
)


@settings(max_examples=60)
@given(
    arrivals=arrivals,
    size=st.integers(1, 8),
    extra=st.integers(0, 8),
    fixed_s=st.floats(0.0, 0.3),
    each_s=st.floats(0.001, 0.1),
)
def test_every_item_is_either_inspected_or_shed_once_and_in_time_where_the_engine_keeps_its_pace(
    arrivals: list[tuple[float, float]], size: int, extra: int, fixed_s: float, each_s: float
) -> None:
    batcher = MicroBatcher[int](size, 0.01, capacity=size + extra, pace=learnt(fixed_s, each_s))
    deadlines: dict[int, float] = {}
    inspected: list[int] = []
    shed: list[int] = []
    late_by_choice = 0
    now = free_at = 0.0
    todo = list(enumerate(arrivals))
    while todo or len(batcher):
        pause = batcher.wait_s(now)
        work_at = math.inf if pause is None else max(now + pause, free_at)
        next_at = now + todo[0][1][0] if todo else math.inf
        if todo and next_at <= work_at and not (batcher.full and todo[0][1][1] == math.inf):
            index, (_, allowed) = todo.pop(0)
            now = next_at
            deadlines[index] = now + allowed
            displaced = batcher.offer(index, now, now + allowed)
            if displaced is not None:
                shed.append(displaced.item)
                assert deadlines[displaced.item] < math.inf
            continue
        now = max(now, free_at) if work_at == math.inf else work_at
        taken = batcher.take(now)
        assert len(taken.batch) <= size
        assert list(taken.batch) == sorted(taken.batch, key=lambda each: (deadlines[each], each))
        shed += [each.item for each in taken.shed]
        assert all(deadlines[each.item] < math.inf for each in taken.shed), "nobody waits in vain"
        ends = now + fixed_s + each_s * len(taken.batch)
        late = [each for each in taken.batch if deadlines[each] < ends - 1e-9]
        if late:
            assert len(taken.batch) == 1, "only what is tried all the same may be late"
            late_by_choice += 1
        inspected += taken.batch
        free_at = ends if taken.batch else now
    assert sorted([*inspected, *shed]) == list(range(len(arrivals)))


@settings(max_examples=25)
@given(
    rate=st.floats(1.2, 5.0),
    size=st.integers(1, 8),
    fixed_s=st.floats(0.0, 0.1),
    each_s=st.floats(0.005, 0.05),
)
def test_at_a_multiple_of_the_sustainable_rate_the_engine_stays_busy_and_nobody_waits_long(
    rate: float, size: int, fixed_s: float, each_s: float
) -> None:
    full_s = fixed_s + each_s * size
    allowed_s = 4 * full_s
    batcher = MicroBatcher[float](size, 0.0, capacity=2 * size)
    period_s = full_s / size / rate
    now = free_at = busy_s = 0.0
    answered = 0
    for number in range(400):
        now = number * period_s
        while free_at <= now and len(batcher):
            taken = batcher.take(free_at)
            if not taken.batch:
                continue
            took_s = fixed_s + each_s * len(taken.batch)
            batcher.learn(len(taken.batch), took_s)
            for came in taken.batch:
                assert free_at + took_s - came <= allowed_s + full_s
            answered += len(taken.batch)
            free_at, busy_s = free_at + took_s, busy_s + took_s
        free_at = max(free_at, now)
        batcher.offer(now, now, now + allowed_s)
    best = now / full_s * size
    assert answered >= 0.6 * best, f"{answered} of {best:.0f} that full batches would have answered"
