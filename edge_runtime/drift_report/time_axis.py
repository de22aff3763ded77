"""Moments on a chart's axis: where the numbers stand, and how they are written. UTC throughout."""

from datetime import datetime, timedelta
from typing import Final

from edge_runtime.drift_history.period import floored
from edge_runtime.pages.charts import Axis

_MOST: Final = 7
"""Numbers on an axis."""
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_APART: Final = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30)),
    *(_HOUR * hours for hours in (1, 2, 4, 8, 12)),
    *(_DAY * days for days in (1, 2, 7, 14, 28, 56, 112)),
)


def time_axis(first: datetime, last: datetime) -> Axis:
    """From one moment to another, in seconds since 1970; at least a minute long."""
    last = max(last, first + timedelta(minutes=1))
    apart = next((step for step in _APART if (last - first) / step <= _MOST), _APART[-1])
    begin = floored(first, min(apart, _DAY))
    ticks = [begin + apart * index for index in range(2 * _MOST + 2)]
    ticks = [tick for tick in ticks if first <= tick <= last]
    return Axis(
        label="UTC",
        limits=(first.timestamp(), last.timestamp()),
        ticks=[tick.timestamp() for tick in ticks],
        names=[
            _written(tick, whole_days=apart >= _DAY, first=index == 0)
            for index, tick in enumerate(ticks)
        ],
    )


def _written(tick: datetime, *, whole_days: bool, first: bool) -> str:
    if whole_days:
        return f"{tick:%m-%d}"
    midnight = tick.hour == tick.minute == 0
    return f"{tick:%H:%M}\n{tick:%m-%d}" if first or midnight else f"{tick:%H:%M}"
