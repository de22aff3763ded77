"""How long a publisher waits before it tries again."""

from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.mes.back_off import BackOff


@given(st.lists(st.none() | st.floats(0, 60), max_size=2000))
def test_no_wait_is_longer_than_the_cap_whatever_happened(attempts: list[float | None]) -> None:
    back_off = BackOff(base_s=0.25, cap_s=10.0)
    for lasted_s in attempts:
        back_off.attempted(lasted_s)
    assert 0 <= back_off.delay_s() <= back_off.bound_s <= 10.0


def test_the_bound_doubles_to_the_cap_and_a_lasting_connection_resets_it() -> None:
    back_off = BackOff(base_s=1.0, cap_s=10.0)
    bounds = []
    for _ in range(5):
        back_off.attempted(None)
        bounds.append(back_off.bound_s)
    assert bounds == [2.0, 4.0, 8.0, 10.0, 10.0]
    back_off.attempted(3600.0)
    assert back_off.bound_s == 1.0


def test_waits_spread_over_the_whole_range() -> None:
    back_off = BackOff(base_s=10.0, cap_s=10.0)
    waits = [back_off.delay_s() for _ in range(200)]
    assert min(waits) < 2.0
    assert max(waits) > 8.0


def test_connections_that_are_soon_lost_count_as_failures_and_raise_suspicion() -> None:
    back_off = BackOff(base_s=1.0, cap_s=10.0)
    for _ in range(3):
        assert back_off.remark == ""
        back_off.attempted(0.1)
    assert back_off.bound_s == 8.0
    assert "same client id" in back_off.remark
    back_off.attempted(60.0)
    assert back_off.remark == ""
