"""Somebody sets the clock by a year while parts flow; numbers, durations and delivery do not mind."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import Station, broken_program
from tests.reliability.faketimed import FAKETIMED
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


def live_through(
    years: list[int], jumping: Station, clock: WallClock, consumer: Consumer, *, runs: int = 2
) -> tuple[str, ...]:
    """Set the clock so many years off, one after the other, while parts flow; what went wrong."""
    faults = []
    for _ in range(runs):  # the second one finds a journal from a year hence or ago
        with jumping.start() as daemon:
            flowed = consumer.wait_for_more(30)
            for offset in years:
                clock.set(offset * YEAR)
                flowed = flowed and consumer.wait_for_more(50)
            if not flowed or daemon.stop():
                faults.append(f"no more verdicts, or no orderly end: {daemon.words()}")
    consumer.wait(lambda consumer: consumer.availability() in ("stopped", "offline"))
    result = reckon(jumping.state_dir, consumer)
    verdicts = [json.loads(body) for _, _, body in rows(jumping.state_dir)]
    times_ms = [value for verdict in verdicts for value in verdict["timings_ms"].values()]
    odd = [value for value in (*times_ms, *consumer.waits_ms) if not 0 <= value < 60_000]
    if odd:
        faults.append(f"{len(odd)} durations that cannot be, {odd[0]} ms the first")
    if result.pruned:
        faults.append(f"{result.pruned} verdicts pruned, none of them old")
    return (*faults, *result.faults)


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
        assert live_through(years, jumping, clock, consumer) == ()
    verdicts = [json.loads(body) for _, _, body in rows(jumping.state_dir)]
    assert years_off(verdicts) == {0, *years}, "the jumps were seen"


@pytest.mark.slow
@pytest.mark.parametrize("years", [[1, -1], [-1, 1]])
def test_a_jump_is_no_hang_of_the_camera_and_makes_no_part_late(
    years: list[int],
    station: Callable[..., Station],
    broker: PrivateBroker,
    tmp_path: Path,
) -> None:
    clock = WallClock(tmp_path / "clock")
    # A camera in a process of its own, whose heartbeat is watched, and parts that have a deadline.
    flags = {"source": "simulated:gen3?seed=7&rate=25&process=1", "deadline-ms": "10000"}
    jumping = station(environment=clock.environment, flags=flags, program=FAKETIMED)
    with Consumer(broker.port) as consumer:
        assert live_through(years, jumping, clock, consumer, runs=1) == ()
        health, drift = consumer.health(), json.loads(consumer.newest("drift"))
    verdicts = [json.loads(body) for _, _, body in rows(jumping.state_dir)]
    reasons = {str(verdict["reason"]).partition(":")[0] for verdict in verdicts}
    assert reasons <= {"None", "uncertain", "undecodable", "blank"}, "nothing stale, nothing shed"
    assert (health["camera_restarts"], health["frames_lost"], health["problem"]) == (0, 0, None)
    assert years_off(verdicts) == {0, *years}, "the jumps were seen"
    for state in (health, drift):
        assert years_off([{"decided_at": state["at"]}]) == {years[-1]}
    captured = [{"decided_at": verdict["captured_at"]} for verdict in verdicts]
    assert years_off(captured) == {0, *years}


@pytest.mark.slow
@pytest.mark.parametrize("years", [1, -1])
def test_control_a_station_that_measures_by_the_wall_clock_is_caught(
    years: int, station: Callable[..., Station], broker: PrivateBroker, tmp_path: Path
) -> None:
    clock = WallClock(tmp_path / "clock")
    broken = station(environment=clock.environment, program=broken_program("time-by-the-wall"))
    with Consumer(broker.port) as consumer:
        assert live_through([years], broken, clock, consumer, runs=1) != ()
