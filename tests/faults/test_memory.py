"""A machine short of memory: what there is no room for is answered, and what is killed comes back."""

import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pytest

from edge_runtime.capture.child import FIRST_TO_GO
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.mes.private_broker import PrivateBroker
from tests.faults.belongings import Belongings
from tests.faults.daemon import program
from tests.faults.memory import memory_group, why_no_memory_group
from tests.faults.outcomes import Outcomes
from tests.reliability.daemon import Daemon, Station
from tests.tiny_bundle import GREEN, colour, png, write_bundle

ROOM = 30 * 1024 * 1024
"""Bytes that the daemon may still map; decoding the large image takes twice as many."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def consumer(mosquitto: Callable[..., PrivateBroker]) -> Iterator[Outcomes]:
    with Outcomes(mosquitto().port) as consumer:
        yield consumer


def large_image() -> bytes:
    return png(colour(*GREEN).repeat(125, axis=0).repeat(125, axis=1))


def short_of_memory(daemon: Daemon) -> None:
    mapped = int(Path(f"/proc/{daemon.pid}/statm").read_text().split()[0]) * resource.getpagesize()
    resource.prlimit(daemon.pid, resource.RLIMIT_AS, (mapped + ROOM, resource.RLIM_INFINITY))


def test_an_image_there_is_no_memory_for_is_answered_and_the_next_is_inspected(
    consumer: Outcomes, bundle: Path, tmp_path: Path
) -> None:
    drop = tmp_path / "drop"
    drop.mkdir()
    small, large = png(colour(*GREEN)), large_image()
    station = Station(
        folder=tmp_path,
        broker=f"mqtt://127.0.0.1:{consumer.port}",
        bundle=bundle,
        flags={"source": f"dir:{drop}?watch=1", "engine": "onnxruntime"},
    )
    with station.start() as daemon:
        for name, image in (("1", small), ("2", large)):
            (drop / f"{name}.png").write_bytes(image)
            assert consumer.wait(lambda mes: f"{name}.png" in mes.outcomes), daemon.words()  # noqa: B023
        short_of_memory(daemon)
        for name, image in (("3", large), ("4", small)):
            (drop / f"{name}.png").write_bytes(image)
            assert consumer.wait(lambda mes: f"{name}.png" in mes.outcomes), daemon.words()  # noqa: B023
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(daemon.pid, resource.RLIMIT_AS, unlimited)
        (drop / "5.png").write_bytes(large)
        assert consumer.wait(lambda mes: "5.png" in mes.outcomes), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    assert {part: outcome for part, (outcome, _) in consumer.outcomes.items()} == {
        "1.png": "ok",
        "2.png": "ok",
        "3.png": "not_inspected",
        "4.png": "ok",
        "5.png": "ok",
    }
    reason = consumer.outcomes["3.png"][1]
    assert reason.startswith("memory: no room to decode") or "no memory to read it" in reason


def test_a_file_is_not_called_damaged_because_memory_is_short(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_room(*_: object) -> None:
        error = cv2.error("Failed to allocate 108000000 bytes")
        error.code = cv2.Error.StsNoMem
        raise error

    image = png(colour(*GREEN))
    monkeypatch.setattr(cv2, "imdecode", no_room)
    with pytest.raises(MemoryError, match="108000000"):
        decode(image)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    with pytest.raises(Undecodable, match="damaged PNG"):
        decode(image)


def test_the_kernel_ends_the_camera_and_not_the_station_and_the_camera_comes_back(
    consumer: Outcomes, bundle: Path, tmp_path: Path
) -> None:
    if reason := why_no_memory_group():
        pytest.skip(reason)
    broken = tmp_path / "broken"
    station = Station(
        folder=tmp_path,
        broker=f"mqtt://127.0.0.1:{consumer.port}",
        bundle=bundle,
        program=program("camera", "eats memory"),
        environment={"BROKEN": str(broken)},
    )
    with memory_group() as group, station.start() as daemon:
        group.add(daemon.pid)  # before its camera is started, which then belongs to it
        assert consumer.wait_for_more(20), daemon.words()
        (camera,) = Belongings.of(daemon.pid).children
        assert Path(f"/proc/{camera}/oom_score_adj").read_text() == f"{FIRST_TO_GO}\n"
        assert Path(f"/proc/{daemon.pid}/oom_score_adj").read_text() != f"{FIRST_TO_GO}\n"
        group.add(camera)
        group.limit(group.used() + 300_000_000)
        broken.touch()
        assert daemon.says("its process was ended by SIGKILL"), daemon.words()
        broken.unlink()
        assert daemon.says("is back after"), daemon.words()
        assert consumer.wait_for_more(20), daemon.words()
        assert os.getpgid(daemon.pid), "the station lives"
        assert daemon.stop() == 0, daemon.words()
