import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.batcher import MicroBatcher


def test_a_batch_is_due_when_it_is_full() -> None:
    batcher = MicroBatcher[str](2, 10.0)
    batcher.offer("a", 0.0)
    assert not batcher.due(0.0)
    batcher.offer("b", 0.0)
    assert batcher.due(0.0)
    assert batcher.take() == ("a", "b")
    assert len(batcher) == 0


def test_a_batch_is_due_when_its_first_item_has_waited_long_enough() -> None:
    batcher = MicroBatcher[str](8, 0.5)
    batcher.offer("a", 1.0)
    batcher.offer("b", 1.4)
    assert batcher.wait_s(1.2) == pytest.approx(0.3)
    assert not batcher.due(1.49)
    assert batcher.due(1.5)
    assert batcher.wait_s(2.0) == 0.0


def test_an_empty_batcher_is_never_due() -> None:
    batcher = MicroBatcher[str](8, 0.0)
    assert not batcher.due(1e9)
    assert batcher.wait_s(1e9) is None


def test_offering_to_a_complete_batch_is_refused() -> None:
    batcher = MicroBatcher[int](1, 0.0)
    batcher.offer(1, 0.0)
    with pytest.raises(OverflowError, match="take it first"):
        batcher.offer(2, 0.0)


@pytest.mark.parametrize(("size", "wait"), [(0, 1.0), (-1, 1.0), (1, -0.1)])
def test_impossible_limits_are_refused(size: int, wait: float) -> None:
    with pytest.raises(ValueError, match="must"):
        MicroBatcher[int](size, wait)


@given(
    gaps=st.lists(st.floats(0, 2), max_size=60),
    size=st.integers(1, 5),
    wait=st.floats(0, 1),
)
def test_every_item_leaves_once_in_order_and_in_time(
    gaps: list[float], size: int, wait: float
) -> None:
    batcher = MicroBatcher[tuple[int, float]](size, wait)
    now, left = 0.0, []
    for index, gap in enumerate(gaps):
        pause = batcher.wait_s(now)
        if pause is not None and pause <= gap:
            batch = batcher.take()
            assert len(batch) <= size
            assert now + pause - batch[0][1] <= wait + 1e-6
            left += batch
        now += gap
        batcher.offer((index, now), now)
        if batcher.due(now) and len(batcher) == size:
            left += batcher.take()
    left += batcher.take()
    assert [index for index, _ in left] == list(range(len(gaps)))
