"""A whole daemon: signals in the middle of work, its pages, and what it keeps open while it runs."""

import json
import operator
import os
import signal
import socket
import urllib.request
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from edge_runtime.journal.journal import Journal
from tests.edge_runtime.service.supervision import ListeningSystemd
from tests.patience import eventually
from tests.reliability.daemon import Daemon, Station
from tests.tiny_bundle import write_bundle

FRAMES = "edge_inspect_frames_total"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def station(bundle: Path, tmp_path: Path, port: int) -> Callable[..., Station]:
    def make(rate: float, environment: dict[str, str], **flags: str) -> Station:
        return Station(
            folder=tmp_path,
            broker="memory://daemon",
            bundle=bundle,
            rate=rate,
            environment=environment,
            flags={"engine": "onnxruntime", "http-port": str(port), **flags},
        )

    return make


def taken_in(daemon: Daemon) -> int:
    """Frames that the daemon says it took in, on its last line."""
    return int(daemon.words().partition("edge-inspect: ")[2].split()[0])


def parts_in(journal: Path) -> list[str]:
    """Part ids in the order of their verdicts."""
    with closing(Journal(journal)) as opened:
        bodies = [entry.body for entry in opened.stored(1, 10**6, 10**6)]
    return [json.loads(body)["part_id"] for body in bodies]


BUSY = {"max-batch": "64", "max-wait-ms": "1000"}
"""Batches that fill slowly, fed as fast as it goes: queue and batcher hold frames at any moment."""


def test_sigterm_in_the_middle_of_work_leaves_no_frame_without_its_verdict_in_the_journal(
    station: Callable[..., Station], port: int
) -> None:
    busy = station(0, {}, **BUSY)
    with busy.start() as daemon:
        assert eventually(lambda: ready(port)), daemon.words()
        assert eventually(lambda: counted(get(port, "/metrics"), FRAMES) > 200)
        assert daemon.stop() == 0, daemon.words()
    parts = parts_in(busy.state_dir)
    assert len(parts) == taken_in(daemon) > 200
    assert len(set(parts)) == len(parts)


def test_control_a_station_that_forgets_its_last_batch_is_caught(
    station: Callable[..., Station], port: int, tmp_path: Path
) -> None:
    hasty = replace(
        station(0, {"HANG_WHILE": str(tmp_path / "never")}, **BUSY),
        program=("tests.faults.hanging", "forgetful", "--", "run"),
    )
    with hasty.start() as daemon:
        assert eventually(lambda: ready(port)), daemon.words()
        assert eventually(lambda: counted(get(port, "/metrics"), FRAMES) > 200)
        daemon.stop()
    assert len(parts_in(hasty.state_dir)) < taken_in(daemon)


def test_a_hang_up_changes_the_log_level_and_names_what_waits_for_the_next_start(
    station: Callable[..., Station], tmp_path: Path
) -> None:
    file = tmp_path / "station.toml"
    file.write_text('log_level = "info"\nthreads = 1\n')
    with ListeningSystemd(tmp_path) as systemd:
        configured = station(20, systemd.environment, config=str(file))
        with configured.start() as daemon:
            assert systemd.hears("READY"), daemon.words()
            file.write_text('log_level = "debug"\nthreads = 2\n')
            os.kill(daemon.pid, signal.SIGHUP)
            assert systemd.hears("READY", times=2), daemon.words()
            file.write_text("log_level = [")
            os.kill(daemon.pid, signal.SIGHUP)
            assert systemd.hears("READY", times=3), daemon.words()
            assert daemon.stop() == 0
    said = [word.lines["STATUS"] for word in systemd.said("READY")]
    assert said[1] == (
        "reloaded: log_level is debug; changed, but not before the next start: threads"
    )
    assert said[2].startswith("not reloaded: ")
    assert len(systemd.said("RELOADING")) == 2


def test_the_pages_of_a_running_station(station: Callable[..., Station], port: int) -> None:
    with station(50, {}).start() as daemon:
        assert eventually(lambda: ready(port)), daemon.words()
        assert eventually(lambda: counted(get(port, "/metrics"), FRAMES) > 20)
        text = get(port, "/metrics")
        assert counted(text, "edge_inspect_stage_duration_seconds_count") > 0
        assert json.loads(get(port, "/healthz")) == {"ok": True, "problem": None}
        assert not reachable_from_outside(port)

        before = held(daemon)
        for _ in range(50):
            get(port, "/metrics")
        # A connection and its thread may be on their way out.
        assert eventually(lambda: all(map(operator.le, held(daemon), before))), held(daemon)
        assert daemon.stop() == 0


def get(port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def counted(text: str, name: str) -> float:
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def held(daemon: Daemon) -> tuple[int, int]:
    """File descriptors and threads of the daemon."""
    process = Path(f"/proc/{daemon.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def ready(port: int) -> bool:
    try:
        get(port, "/readyz")
    except OSError:
        return False
    return True


def reachable_from_outside(port: int) -> bool:
    """Whether another loopback address, which stands for the network, gets through."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.2", port)) == 0
