"""A station whose camera hangs: it goes on answering, says what is wrong, and heals by itself."""

import json
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.assembly.station import open_station
from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.config import StationConfig
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.mes.base import Message
from edge_runtime.mes.links import open_subscriber
from tests.faults.sources import open_faulty
from tests.faults.test_cameras import LIMITS
from tests.patience import listen_until
from tests.received import by_number


@pytest.mark.parametrize(
    ("fault", "words"),
    [("hangs with the interpreter", "no sign of life"), ("segfaults", "ended by SIGSEGV")],
)
def test_a_station_outlives_its_camera(
    fault: str,
    words: str,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    monkeypatch.setattr(
        "edge_runtime.assembly.station.open_camera",
        lambda _: CaptureCamera(f"{fault}:{tmp_path}", opener=open_faulty, limits=LIMITS),
    )
    monkeypatch.setattr("edge_runtime.station._STATES_EVERY_S", 0.05)
    config = StationConfig(
        station="L07-S3",
        site="plant",
        bundle=str(make_bundle()),
        source="opencv:0",
        broker=f"memory://{fault.replace(' ', '-')}",
        state_dir=tmp_path / "state",
        frames=60,
    )
    results: list[Health] = []
    with closing(open_subscriber(config.broker, "inspection/#")) as mes:
        with open_station(config) as station:
            running = threading.Thread(
                target=lambda: results.append(station.run(threading.Event()))
            )
            running.start()
            messages = listen_until(mes, lambda seen: published(words, seen))
            assert published(words, messages), "the fault is published while it lasts"
            broken.unlink()
            running.join(30)
        messages += listen_until(
            mes, lambda seen: seen[-1:] != [] and seen[-1].payload == b"stopped"
        )
    (health,) = results
    assert health.frames == sum(health.verdicts.values()) == 60
    assert health.verdicts[Outcome.NOT_INSPECTED] == 0
    assert health.camera_restarts >= 1
    assert health.problem is None
    assert [answer.seq for answer in by_number(messages)] == list(range(1, 61))


def published(words: str, messages: list[Message]) -> bool:
    """Whether the last message is a state of health with these words in its problem."""
    return any(
        words in (json.loads(message.payload)["problem"] or "")
        for message in messages[-1:]
        if message.topic.endswith("/health")
    )
