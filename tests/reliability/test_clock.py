"""Somebody sets the clock by a year while parts flow; numbers, durations and delivery do not mind."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import Station
from tests.reliability.reckoning import reckon, rows

YEAR = timedelta(days=365)
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

pytestmark = pytest.mark.skipif(LIBRARY is None, reason="faketime is not installed")


class WallClock:
    """The wall clock of one process, apart from everybody else's; its monotonic clock stays true."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(timedelta())

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to live by this clock."""
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset: timedelta) -> None:
        """Set it so far off the true time."""
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{offset.total_seconds():+.0f}\n")
        aside.rename(self._file)


def years_off(verdicts: list[dict[str, Any]]) -> set[int]:
    """How far from the true time they were decided, by their own word."""
    now = datetime.now(UTC)
    decided = [datetime.fromisoformat(verdict["decided_at"]) for verdict in verdicts]
    return {round((moment - now) / YEAR) for moment in decided}


@pytest.mark.slow
@pytest.mark.parametrize("years", [[1, -1], [-1, 1]])
def test_a_jump_of_a_year_changes_nothing_but_the_times(
    years: list[int],
    station: Callable[..., Station],
    broker: PrivateBroker,
    tmp_path: Path,
) -> None:
    clock = WallClock(tmp_path / "clock")
    jumping = station(environment=clock.environment)
    with Consumer(broker.port) as consumer:
        for _ in range(2):  # the second run finds a journal from a year hence or ago
            with jumping.start() as daemon:
                assert consumer.wait_for_more(30), daemon.words()
                for offset in years:
                    clock.set(offset * YEAR)
                    assert consumer.wait_for_more(50), daemon.words()
                assert daemon.stop() == 0, daemon.words()
        consumer.wait(lambda consumer: consumer.availability() == "stopped")
        result = reckon(jumping.state_dir, consumer)
    assert (result.faults, result.pruned) == ((), 0)
    verdicts = [json.loads(body) for _, _, body in rows(jumping.state_dir)]
    assert years_off(verdicts) == {0, *years}, "the jumps were seen"
    times_ms = [value for verdict in verdicts for value in verdict["timings_ms"].values()]
    assert min(times_ms) >= 0
    assert max(times_ms) < 60_000
    shortest_ms, longest_ms = consumer.waits_ms
    assert shortest_ms >= 0
    assert longest_ms < 60_000
