"""An engine that never comes back: parts are answered without it, and a daemon ends by itself."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.assembly.station import open_station
from edge_runtime.config import StationConfig
from edge_runtime.contracts.verdict import Verdict
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.errors import EngineHangsError
from edge_runtime.journal.journal import Journal
from tests.edge_runtime.service.supervision import ListeningSystemd
from tests.reliability.daemon import Daemon, Station
from tests.tiny_bundle import write_bundle

ENDS_WITHIN_S = 30.0
"""A drain limit of 20 s, and what a loaded machine may add; who waits for the engine never ends."""


def verdicts_in(state: Path) -> list[Verdict]:
    """All that the journal holds; opening it checks its chain."""
    with closing(Journal(state)) as journal:
        bodies = [entry.body for entry in journal.stored(1, 10**6, 10**8)]
    return [Verdict.model_validate(json.loads(body)) for body in bodies]


@pytest.fixture
def hang(tmp_path: Path) -> Iterator[Callable[[str], tuple[Daemon, Station]]]:
    """Starts a daemon and lets its engine hang in the middle of its work."""

    def start(part: str) -> tuple[Daemon, Station]:
        station = Station(
            folder=tmp_path,
            broker="memory://hanging",
            bundle=write_bundle(tmp_path / "bundle"),
            rate=20.0,
            program=("tests.faults.hanging", part, "--", "run"),
            environment={"HANG_WHILE": str(tmp_path / "hang"), **systemd.environment},
            flags={"deadline-ms": "300"},
        )
        daemon = station.start()
        assert systemd.hears("READY"), daemon.words()
        time.sleep(0.5)
        (tmp_path / "hang").touch()
        time.sleep(1.5)
        return daemon, station

    with ListeningSystemd(tmp_path) as systemd:
        yield start


def test_a_daemon_whose_engine_hangs_ends_at_sigterm_and_has_answered_every_part(
    hang: Callable[[str], tuple[Daemon, Station]],
) -> None:
    daemon, station = hang("engine")
    with daemon:
        assert daemon.stop(ENDS_WITHIN_S) == 5, daemon.words()
        words = daemon.words()
    assert "edge-inspect: the engine has not answered for" in words
    assert "could not be answered" not in words
    verdicts = verdicts_in(station.state_dir)
    assert [verdict.seq for verdict in verdicts] == list(range(1, len(verdicts) + 1))
    late = [v.reason for v in verdicts if v.reason is not None and v.reason.startswith("engine: ")]
    assert len(late) > 5, "deadlines are kept without the engine"


def test_control_a_daemon_that_waits_for_its_engine_does_not_end(
    hang: Callable[[str], tuple[Daemon, Station]],
) -> None:
    daemon, _ = hang("loyal")
    with daemon:
        assert daemon.stop(9.0) == -9


def test_what_has_no_deadline_is_answered_when_the_drain_is_over(
    make_bundle: Callable[..., Path],
    folder_of_parts: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = StationConfig(
        station="L07-S3",
        bundle=str(make_bundle()),
        source=f"dir:{folder_of_parts}",
        broker="memory://patient",
        state_dir=tmp_path / "state",
    )
    healed, asked = threading.Event(), threading.Event()

    def hanging(_self: OnnxRuntimeEngine, batch: np.ndarray) -> np.ndarray:
        asked.set()
        healed.wait()
        return np.zeros((len(batch), 3), np.float32)

    monkeypatch.setattr("edge_runtime.pipeline._LET_GO_S", 0.2)
    stop = threading.Event()
    try:
        with open_station(config) as station:
            monkeypatch.setattr(OnnxRuntimeEngine, "infer", hanging)
            station._drain_s = 0.5
            threading.Thread(target=lambda: (asked.wait(), stop.set())).start()
            with pytest.raises(EngineHangsError, match="has not answered for"):
                station.run(stop)
            health = station.health()
    finally:
        healed.set()
    verdicts = verdicts_in(tmp_path / "state")
    assert len(verdicts) == health.parts > 0
    reasons = [str(verdict.reason) for verdict in verdicts]
    assert all(reason.startswith(("engine: no answer for", "undecodable")) for reason in reasons)
