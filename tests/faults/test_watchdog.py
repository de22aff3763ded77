"""A real daemon under a `NOTIFY_SOCKET` of the test's own, with a part that hangs when it is told to.

systemd is played to its end: once the pings have stayed away for the watchdog's time, SIGABRT follows.
Times are scaled down: a watchdog of 2 s stands for the unit's 6, so that a stall is to be known within
3 s here and within 9 there.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.edge_runtime.service.supervision import ListeningSystemd
from tests.patience import eventually
from tests.reliability.daemon import Daemon, Station
from tests.tiny_bundle import write_bundle

WATCHDOG_S = 2.0
KNOWN_WITHIN_S = 1.5 * WATCHDOG_S
SLACK_S = 2.0
"""What a loaded machine may add."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """While this file exists, the part hangs."""
    return tmp_path / "hang"


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[ListeningSystemd]:
    with ListeningSystemd(tmp_path, watchdog_s=WATCHDOG_S) as listening:
        yield listening


@pytest.fixture
def start(
    systemd: ListeningSystemd, bundle: Path, mark: Path, tmp_path: Path
) -> Callable[..., Daemon]:
    """Starts a daemon at no broker but its own, with that part ready to hang."""

    def make(part: str, **flags: str) -> Daemon:
        return Station(
            folder=tmp_path,
            broker="memory://watchdog",
            bundle=bundle,
            rate=20.0,
            program=("tests.faults.hanging", part, "--", "run"),
            environment={**systemd.environment, "HANG_WHILE": str(mark)},
            flags=flags,
        ).start()

    return make


@contextmanager
def running(daemon: Daemon, systemd: ListeningSystemd) -> Iterator[Daemon]:
    with daemon:
        assert systemd.hears("READY"), daemon.words()
        assert systemd.hears("WATCHDOG", times=3), daemon.words()
        yield daemon


@pytest.mark.parametrize("part", ["source", "engine", "sync"])
def test_the_watchdog_is_not_pinged_while_a_part_hangs_though_the_process_lives(
    part: str, start: Callable[..., Daemon], systemd: ListeningSystemd, mark: Path
) -> None:
    with running(start(part), systemd) as daemon:
        mark.touch()
        hung = time.monotonic()
        assert systemd.falls_silent("WATCHDOG", WATCHDOG_S, within_s=10)
        assert time.monotonic() - hung < KNOWN_WITHIN_S + SLACK_S
        assert daemon.running
        assert "nothing has gone forward for" in daemon.words()
        os.kill(daemon.pid, signal.SIGABRT)  # what systemd does then
        assert daemon.wait() == -signal.SIGABRT
        assert "hanging.py" in daemon.words(), "the log says where it hung"


def test_control_a_watchdog_that_is_pinged_because_the_process_lives_sees_nothing(
    start: Callable[..., Daemon], systemd: ListeningSystemd, mark: Path
) -> None:
    with running(start("blind"), systemd):
        mark.touch()
        assert not systemd.falls_silent("WATCHDOG", WATCHDOG_S, within_s=KNOWN_WITHIN_S + 1)


def test_a_short_stall_is_survived_and_said_to_be_over(
    start: Callable[..., Daemon], systemd: ListeningSystemd, mark: Path
) -> None:
    with running(start("engine"), systemd) as daemon:
        mark.touch()
        assert daemon.says("nothing has gone forward for")
        mark.unlink()
        assert daemon.says("it goes forward again")
        pings = len(systemd.said("WATCHDOG"))
        assert systemd.hears("WATCHDOG", times=pings + 2)
        assert daemon.stop() == 0


def test_a_disk_that_refuses_is_no_stall_and_loses_nothing(
    start: Callable[..., Daemon], systemd: ListeningSystemd, mark: Path, tmp_path: Path
) -> None:
    with running(start("disk"), systemd) as daemon:
        mark.touch()
        assert daemon.says("no room, says the test")
        assert not systemd.falls_silent("WATCHDOG", WATCHDOG_S, within_s=KNOWN_WITHIN_S + 1)
        mark.unlink()
        assert daemon.stop() == 0
        frames, _, verdicts = daemon.words().partition("edge-inspect: ")[2].partition(" frames, ")
        assert int(frames) == int(verdicts.split()[0]) > 0


def test_a_source_that_has_nothing_to_show_is_idle_and_not_stalled(
    start: Callable[..., Daemon], systemd: ListeningSystemd, tmp_path: Path
) -> None:
    (tmp_path / "drop").mkdir()
    idle = start("source", source=f"dir:{tmp_path / 'drop'}?watch=1")
    with running(idle, systemd) as daemon:
        assert not systemd.falls_silent("WATCHDOG", WATCHDOG_S, within_s=1.5 * WATCHDOG_S)
        assert daemon.stop() == 0


def test_a_station_that_drains_says_stopping_once_and_pings_no_more(
    start: Callable[..., Daemon], systemd: ListeningSystemd
) -> None:
    with running(start("source"), systemd) as daemon:
        assert daemon.stop() == 0
        assert eventually(lambda: len(systemd.said("STOPPING")) == 1)
    words = [next(iter(word.lines)) for word in systemd.words]
    assert "EXTEND_TIMEOUT_USEC" in words[: words.index("READY")], "while the engine was built"
    assert "WATCHDOG" not in words[words.index("STOPPING") :]
