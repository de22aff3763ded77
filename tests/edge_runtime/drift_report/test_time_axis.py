"""Numbers on a time axis: few, even, within, and readable from a minute to a year."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.drift_report.time_axis import time_axis

MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone


@given(first=MOMENTS, reach=st.timedeltas(timedelta(minutes=1), timedelta(days=400)))
def test_the_numbers_lie_within_and_evenly(first: datetime, reach: timedelta) -> None:
    axis = time_axis(first, first + reach)
    assert axis.limits is not None
    assert axis.ticks is not None
    assert axis.names is not None
    assert 1 <= len(axis.ticks) == len(axis.names) <= 9
    assert all(axis.limits[0] <= tick <= axis.limits[1] for tick in axis.ticks)
    apart = {round(b - a) for a, b in zip(axis.ticks, axis.ticks[1:], strict=False)}
    assert len(apart) <= 1


@pytest.mark.parametrize(
    ("reach", "wanted"),
    [
        (timedelta(minutes=30), ["06:05\n03-02", "06:10", "06:15"]),
        (timedelta(hours=20), ["08:00\n03-02", "12:00", "16:00", "20:00", "00:00\n03-03"]),
        (timedelta(days=30), ["03-09", "03-16"]),
    ],
)
def test_the_day_is_written_where_it_is_needed(reach: timedelta, wanted: list[str]) -> None:
    first = datetime(2026, 3, 2, 6, 3, tzinfo=UTC)
    names = time_axis(first, first + reach).names
    assert names is not None
    assert list(names)[: len(wanted)] == wanted


def test_a_moment_alone_is_given_a_minute() -> None:
    moment = datetime(2026, 3, 2, 6, 3, 30, tzinfo=UTC)
    limits = time_axis(moment, moment).limits
    assert limits is not None
    assert limits[1] - limits[0] == 60
