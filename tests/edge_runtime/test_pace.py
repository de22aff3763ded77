import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.pace import Pace

SIZES = (1, 8, 3, 5, 8, 2) * 8


def test_nothing_is_expected_before_anything_was_measured() -> None:
    assert Pace().expected_s(8) == 0.0


def test_what_a_batch_costs_and_what_each_frame_costs_are_told_apart() -> None:
    pace = Pace()
    for frames in SIZES:
        pace.learn(frames, 0.020 + 0.005 * frames)
    for frames in (1, 4, 8, 16):
        assert pace.expected_s(frames) == pytest.approx(0.020 + 0.005 * frames, rel=0.05)


def test_an_engine_that_becomes_three_times_as_slow_is_known_after_a_few_batches() -> None:
    pace = Pace()
    for _ in range(50):
        pace.learn(8, 0.1)
    for _ in range(12):
        pace.learn(8, 0.3)
    assert 0.25 < pace.expected_s(8) < 0.45


def test_one_hiccup_is_forgotten() -> None:
    pace = Pace()
    for frames in SIZES:
        pace.learn(frames, 0.01 * frames)
    pace.learn(8, 5.0)
    assert pace.expected_s(8) > 0.5
    for _ in range(60):
        pace.learn(1, 0.01)
    assert pace.expected_s(1) < 0.02


@given(
    measured=st.lists(st.tuples(st.integers(1, 64), st.floats(0, 10)), min_size=1, max_size=40),
    frames=st.integers(1, 64),
)
def test_more_frames_never_take_less_and_nothing_takes_less_than_no_time(
    measured: list[tuple[int, float]], frames: int
) -> None:
    pace = Pace()
    for count, seconds in measured:
        pace.learn(count, seconds)
    assert -1e-9 <= pace.expected_s(frames) <= pace.expected_s(frames + 1) + 1e-9
