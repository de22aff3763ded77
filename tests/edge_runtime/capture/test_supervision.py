"""When a camera's process is given up, and how long until the next."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_runtime.capture.supervision import Limits, Supervision

LIMITS = Limits(open_s=8, hang_s=4, silence_s=8, first_pause_s=0.1, longest_pause_s=3, steady_s=10)


def running(now: float = 100.0, limits: Limits = LIMITS) -> Supervision:
    supervision = Supervision(limits)
    supervision.started(now - 1)
    supervision.opened(now)
    return supervision


def test_opening_has_a_limit_of_its_own() -> None:
    supervision = Supervision(LIMITS)
    supervision.started(100.0)
    assert supervision.fault(108.0, beat=0.0) is None
    assert supervision.fault(108.1, beat=108.0) == "it did not open within 8 s"


def test_a_heartbeat_that_stops_is_a_hang() -> None:
    assert running().fault(107.0, beat=103.0) is None
    assert running().fault(107.1, beat=103.0) == "it hangs, no sign of life for 4 s"


@pytest.mark.parametrize("beat", [math.nan, math.inf, -math.inf, 200.0, -3e-120])
def test_a_heartbeat_that_makes_no_sense_is_none(beat: float) -> None:
    fault = running().fault(101.0, beat=beat)
    assert fault is not None
    assert "it hangs" in fault


def test_a_camera_that_runs_freely_must_give_frames() -> None:
    supervision = running()
    assert supervision.fault(108.0, beat=108.0) is None
    assert supervision.fault(108.1, beat=108.1) == "it gave no frame that can be used for 8 s"
    supervision.usable(108.1)
    assert supervision.fault(116.0, beat=116.0) is None


def test_a_camera_that_waits_for_something_may_be_silent() -> None:
    waiting = running(limits=Limits(silence_s=None))
    assert waiting.fault(1e6, beat=1e6) is None


def test_pauses_double_up_to_a_bound_and_begin_anew_after_a_success() -> None:
    supervision, now = Supervision(LIMITS), 0.0
    pauses = []
    for _ in range(8):
        supervision.started(now)
        supervision.opened(now)
        pauses.append(supervision.lost(now + 9.9) - now - 9.9)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3, 3, 3])
    supervision.started(now)
    supervision.opened(now)
    assert supervision.lost(now + 10) == pytest.approx(now + 10.1)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 20)), max_size=100), st.floats(0, 1e6))
@settings(deadline=None)
def test_no_pause_is_longer_than_the_bound(lives: list[tuple[bool, float]], now: float) -> None:
    supervision = Supervision(LIMITS)
    for opens, lasts in lives:
        supervision.started(now)
        if opens:
            supervision.opened(now)
        now += lasts
        restart = supervision.lost(now)
        assert now <= restart <= now + LIMITS.longest_pause_s
        now = restart


def test_the_shipped_limits_keep_the_promise() -> None:
    shipped = Limits()
    assert shipped.silence_s is not None
    assert max(shipped.open_s, shipped.hang_s, shipped.silence_s) < 10
    assert shipped.longest_pause_s < 5
