"""Samples at a station that runs: kept beside the line, told in its health, and never in its way."""

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.assembly.station import open_station
from edge_runtime.config import StationConfig
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.sample import Reason
from edge_runtime.contracts.verdict import committed
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_subscriber
from edge_runtime.samples.folder import SAMPLES, Folder
from tests.patience import eventually, listen_until


@pytest.fixture
def config(
    make_bundle: Callable[..., Path], folder_of_parts: Path, tmp_path: Path
) -> StationConfig:
    return StationConfig(
        station="L07-S3",
        site="plant",
        bundle=str(make_bundle()),
        source=f"dir:{folder_of_parts}",
        broker=f"memory://{tmp_path.name}",
        state_dir=tmp_path / "state",
        samples_generation="gen3",
    )


def run(config: StationConfig) -> tuple[Health, list[Message]]:
    with closing(open_subscriber(config.broker, "inspection/#")) as mes:
        with open_station(config) as station:
            station.run(threading.Event())
        # After the keeper has ended, whatever the last published state said.
        health = station.health()
        seen = listen_until(
            mes, lambda messages: messages[-1:] != [] and messages[-1].payload == b"stopped"
        )
    return health, seen


def test_what_is_kept_holds_the_committed_bytes_and_is_counted(
    config: StationConfig, folder_of_parts: Path
) -> None:
    health, messages = run(config)
    folder = Folder(config.state_dir / SAMPLES)
    verdicts = {committed(m.payload) for m in messages if m.topic.endswith("/verdict")}
    samples = list(folder.samples())
    rejected = [sample for sample in samples if sample.has(Reason.REJECTED)]
    assert rejected
    for sample in samples:
        assert sample.generation == "gen3"
        assert sample.verdict.to_json().encode() in verdicts
        came = (folder_of_parts / sample.verdict.part_id).read_bytes()
        assert folder.frames(sample) == (came,)
    assert (health.samples, health.samples_lost) == (len(samples), 0)
    assert "samples" not in (health.problem or "")


def test_where_none_are_wanted_none_are_kept(config: StationConfig) -> None:
    health, _ = run(config.model_copy(update={"samples_mb": 0}))
    assert health.samples == 0
    assert not (config.state_dir / SAMPLES).exists()


def test_a_disk_without_room_for_samples_stops_no_verdict(
    config: StationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Folder, "free_bytes", lambda _folder: 0)
    health, _ = run(config)
    assert sum(health.verdicts.values()) == health.acknowledged == 13
    assert health.samples == 0
    assert health.samples_lost > 0
    assert health.problem is not None
    assert "no samples are kept: the disk has less than" in health.problem


def test_a_label_from_rework_reaches_the_sample_of_its_part(
    config: StationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge_runtime.samples.rules.lot", lambda _verdict: 0.001)  # keeps them all
    run(config)
    folder = Folder(config.state_dir / SAMPLES)
    about = max(folder.samples(), key=lambda sample: bool(sample.verdict.scores))
    other = next(label for label in about.verdict.scores if label != about.verdict.label)
    label = {"seq": about.verdict.seq, "label": other, "source": "rework", "selected": "other"}
    endless = {"source": "simulated:gen3?rate=5", "labels_accept": True}
    stop = threading.Event()
    with (
        closing(open_subscriber(config.broker, "inspection/#")) as mes,
        open_station(config.model_copy(update=endless)) as station,
    ):
        running = threading.Thread(target=station.run, args=(stop,))
        running.start()
        try:
            # A label that nobody answers is sent again: the station may not listen yet.
            assert eventually(
                lambda: send(mes, label) and returned(folder, about.name) == other, 60
            )
        finally:
            stop.set()
            running.join()
    sample = folder.read(about.name)
    assert sample is not None
    assert sample.has(Reason.DISAGREEING)


def send(mes: Subscriber, label: Mapping[str, object]) -> bool:
    mes.publish("inspection/plant/L07/S3/label", json.dumps(label).encode())
    time.sleep(0.2)
    return True


def returned(folder: Folder, name: str) -> str | None:
    sample = folder.read(name)
    return None if sample is None else sample.returned_label
