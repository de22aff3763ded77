"""The words of sd_notify(3), on a socket of the test's own."""

import os
import socket
from pathlib import Path

import pytest

from edge_runtime.service.notify import Notifier, open_notifier
from tests.edge_runtime.service.supervision import ListeningSystemd


def test_every_word_is_one_datagram_of_lines(tmp_path: Path) -> None:
    with ListeningSystemd(tmp_path) as systemd:
        notifier = open_notifier(systemd.environment)
        notifier.extend(30)
        notifier.ready("two\nlines")
        notifier.alive()
        notifier.reloading()
        notifier.stopping("draining")
        notifier.close()
        notifier.close()
        assert systemd.hears("STOPPING")
    extended, ready, alive, reloading, stopping = [word.lines for word in systemd.words]
    assert extended == {"EXTEND_TIMEOUT_USEC": "30000000"}
    assert ready == {"READY": "1", "STATUS": "two lines"}, "a status cannot smuggle in a word"
    assert alive == {"WATCHDOG": "1"}
    assert reloading["RELOADING"] == "1"
    assert reloading["MONOTONIC_USEC"].isdecimal()
    assert stopping == {"STOPPING": "1", "STATUS": "draining"}


def test_an_abstract_socket_is_reached() -> None:
    name = f"edge-inspect-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(5)
        notifier = Notifier(f"@{name}")
        notifier.alive()
        assert listener.recv(100) == b"WATCHDOG=1"
        notifier.close()


def test_without_systemd_nothing_is_said_and_nothing_fails() -> None:
    notifier = open_notifier({})
    notifier.ready("ready")
    notifier.close()
    assert (notifier.listened_to, notifier.watchdog_s) == (False, None)


def test_a_supervisor_that_went_away_costs_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    notifier.alive()
    notifier.alive()
    notifier.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize(
    ("variables", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "6000000"}, 6.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": str(os.getpid())}, 6.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_waits_only_for_the_process_that_is_meant(
    variables: dict[str, str], watchdog_s: float | None
) -> None:
    assert open_notifier(variables).watchdog_s == watchdog_s
