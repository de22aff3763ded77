"""The wired station with triggers: which frames a part gets, and that each trigger has one answer."""

import itertools
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from edge_runtime.assembly import station as assembly
from edge_runtime.assembly.station import open_station
from edge_runtime.config import StationConfig
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.verdict import Outcome, VerdictMessage
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.parts import Parts, View
from tests.patience import eventually, listen_until
from tests.received import verdicts
from tests.scripted_camera import ScriptedCamera
from tests.tiny_bundle import BLUE, GREEN, RED, colour, png

_NAMES = itertools.count()
BASE = "inspection/plant/L07/S3"


@dataclass
class Line:
    """A running station with its cameras, and the MES at the other end."""

    config: StationConfig
    cameras: Sequence[ScriptedCamera]
    mes: Subscriber
    stop: threading.Event = field(default_factory=threading.Event)
    seen: list[Message] = field(default_factory=list)
    results: list[Health] = field(default_factory=list)

    def trigger(self, part_id: str, **more: object) -> None:
        payload = json.dumps({"part_id": part_id, **more}).encode()
        assert self.mes.publish(f"{BASE}/trigger", payload)

    def hears(self, count: int) -> list[VerdictMessage]:
        """The verdicts, once there are so many."""
        have = len(verdicts(self.seen))
        self.seen += listen_until(self.mes, lambda new: have + len(verdicts(new)) >= count)
        answers = verdicts(self.seen)
        assert len(answers) >= count, self.seen
        return answers

    def ends(self) -> Health:
        """The final health; whatever came until the station was gone is in `seen`."""
        self.stop.set()
        self.seen += listen_until(self.mes, lambda new: bool(new) and new[-1].payload == b"stopped")
        assert eventually(lambda: self.results)
        (health,) = self.results
        assert health.parts == sum(health.verdicts.values()) == len(verdicts(self.seen))
        return health


Lines = Callable[..., AbstractContextManager[Line]]


@pytest.fixture(params=["memory", "mosquitto"])
def address(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return f"memory://parts-{next(_NAMES)}"
    broker: PrivateBroker = request.getfixturevalue("broker")
    return broker.address


@pytest.fixture
def line(
    make_bundle: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Lines:
    bundle = make_bundle()

    @contextmanager
    def run(address: str | None = None, cameras: int = 1, **keys: object) -> Iterator[Line]:
        sources = tuple(f"opencv:{number}" for number in range(cameras))
        config = StationConfig.model_validate(
            {
                "station": "L07-S3",
                "site": "plant",
                "bundle": str(bundle),
                "source": sources,
                "broker": address or f"memory://parts-{next(_NAMES)}",
                "state_dir": tmp_path / "state",
                "deadline_ms": 20_000,
                **keys,
            }
        )
        scripted = {source: ScriptedCamera(source.replace(":", "")) for source in sources}
        monkeypatch.setattr(assembly, "open_camera", scripted.__getitem__)
        with ExitStack() as resources:
            mes = resources.enter_context(closing(open_subscriber(config.broker, "inspection/#")))
            station = resources.enter_context(open_station(config))
            playing = Line(config=config, cameras=tuple(scripted.values()), mes=mes)
            thread = threading.Thread(
                target=lambda: playing.results.append(station.run(playing.stop))
            )
            thread.start()
            try:
                playing.seen += listen_until(
                    mes, lambda new: bool(new) and new[-1].payload == b"online"
                )
                yield playing
            finally:
                playing.stop.set()
                thread.join(30)

    return run


def test_each_trigger_is_answered_once_with_a_picture_of_each_camera_exposed_after_it(
    line: Lines, address: str
) -> None:
    with line(address, cameras=2, trigger="mqtt") as playing:
        with (
            playing.cameras[0].running(colour(*GREEN)),
            playing.cameras[1].running(colour(*GREEN)),
        ):
            for number in range(4):
                playing.trigger(f"M{number}")
                playing.hears(number + 1)
            playing.trigger("M2")
            playing.trigger("M4")
            answers = playing.hears(5)
        health = playing.ends()
    assert [answer.part_id for answer in answers] == [f"M{number}" for number in range(5)]
    for answer in answers:
        assert (answer.verdict, answer.label) == (Outcome.OK, "no_defect")
        assert [view.camera for view in answer.views] == [1, 2]
        assert answer.triggered_at is not None
        for view in answer.views:
            assert view.captured_at is not None
            assert view.captured_at >= answer.triggered_at
    assert (health.parts, health.triggers_repeated, health.triggers_ignored) == (5, 1, 0)
    assert health.frames == 10


def test_a_defect_that_one_camera_sees_is_the_parts(line: Lines) -> None:
    with line(cameras=2, trigger="mqtt") as playing:
        with (
            playing.cameras[0].running(colour(*GREEN)),
            playing.cameras[1].running(colour(*RED)),
        ):
            playing.trigger("M1")
            (answer,) = playing.hears(1)
        playing.ends()
    assert (answer.verdict, answer.label) == (Outcome.DEFECT, "red")
    assert [view.verdict for view in answer.views] == [Outcome.OK, Outcome.DEFECT]


def test_a_camera_that_gives_nothing_costs_the_part_its_verdict_and_not_its_answer(
    line: Lines,
) -> None:
    with line(cameras=2, trigger="mqtt") as playing:
        with playing.cameras[0].running(colour(*GREEN)):
            playing.trigger("M1", deadline_ms=300)
            (answer,) = playing.hears(1)
        playing.ends()
    assert answer.verdict is Outcome.NOT_INSPECTED
    assert answer.reason is not None
    assert answer.reason.startswith("no_frame: none within ")
    assert answer.reason.endswith("(view 2 of 2)")
    assert [view.frame_id is None for view in answer.views] == [False, True]


def test_several_frames_of_one_camera_are_one_part(line: Lines) -> None:
    with line(trigger="mqtt", part_frames=3) as playing:
        with playing.cameras[0].running(colour(*GREEN)):
            playing.trigger("M1")
            (answer,) = playing.hears(1)
        assert playing.ends().frames == 3
    assert len({view.frame_id for view in answer.views}) == 3


def test_a_source_that_serves_old_frames_is_not_believed(line: Lines) -> None:
    with line(trigger="mqtt") as playing:
        with playing.cameras[0].running(colour(*GREEN), age_s=5.0):
            playing.trigger("M1", deadline_ms=300)
            (answer,) = playing.hears(1)
        health = playing.ends()
    assert answer.verdict is Outcome.NOT_INSPECTED
    assert health.frames == 0
    assert health.frames_unasked > 0


def test_a_source_that_cannot_say_how_old_its_frames_are_is_given_its_lag(
    line: Lines,
) -> None:
    with line(trigger="mqtt", trigger_lag_ms=10_000) as playing:
        with playing.cameras[0].running(colour(*GREEN)):
            playing.trigger("M1", deadline_ms=300)
            (answer,) = playing.hears(1)
        playing.ends()
    assert answer.verdict is Outcome.NOT_INSPECTED


def test_control_a_station_that_takes_the_next_frame_it_gets_judges_an_old_one(
    line: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Parts.claim

    def believing(self: Parts, frame: Frame, key: str | None, camera: int, _: float) -> View | None:
        return claim(self, frame, key, camera, frame.arrived)

    monkeypatch.setattr(Parts, "claim", believing)
    with line(trigger="mqtt") as playing:
        with playing.cameras[0].running(colour(*GREEN), age_s=5.0):
            playing.trigger("M1")
            (answer,) = playing.hears(1)
        playing.ends()
    assert answer.verdict is Outcome.OK
    assert answer.triggered_at is not None
    assert answer.captured_at < answer.triggered_at


def test_what_is_triggered_before_the_stop_is_still_inspected(line: Lines) -> None:
    with line(trigger="mqtt") as playing:
        playing.trigger("M1")
        # Until the trigger is taken in there is nothing to drain.
        playing.seen += listen_until(
            playing.mes, lambda new: any(m.topic.endswith("/trigger") for m in new)
        )
        playing.stop.wait(0.3)
        playing.stop.set()
        playing.cameras[0].give(colour(*GREEN))
        (answer,) = playing.hears(1)
        playing.ends()
    assert answer.verdict is Outcome.OK


def test_a_trigger_that_cannot_be_read_is_counted(line: Lines) -> None:
    with line(trigger="mqtt") as playing:
        assert playing.mes.publish(f"{BASE}/trigger", b"M1")
        with playing.cameras[0].running(colour(*GREEN)):
            playing.trigger("M2")
            (answer,) = playing.hears(1)
        assert playing.ends().triggers_ignored == 1
    assert answer.part_id == "M2"


def test_the_part_limit_counts_parts_and_not_frames(line: Lines) -> None:
    with line(trigger="mqtt", frames=2, part_frames=2) as playing:
        with playing.cameras[0].running(colour(*GREEN)):
            for number in range(4):
                playing.trigger(f"M{number}")
                if number < 2:
                    playing.hears(number + 1)
            playing.seen += listen_until(
                playing.mes, lambda new: bool(new) and new[-1].payload == b"stopped"
            )
        assert eventually(lambda: playing.results)
    (health,) = playing.results
    assert (health.parts, health.frames) == (2, 4)


def test_without_a_trigger_each_frame_of_each_camera_is_a_part(line: Lines) -> None:
    with line(cameras=2) as playing:
        playing.cameras[0].give(colour(*GREEN))
        playing.cameras[1].give(colour(*BLUE))
        answers = playing.hears(2)
        playing.ends()
    assert {(a.part_id, a.label, a.views, a.triggered_at) for a in answers} == {
        ("opencv0-00000001", "no_defect", (), None),
        ("opencv1-00000001", "blue", (), None),
    }


def test_a_gap_in_the_cameras_counter_is_a_part_that_was_not_inspected(
    line: Lines,
) -> None:
    with line(trigger="camera") as playing:
        for counter in (1, 2, 5):
            playing.cameras[0].give(colour(*GREEN), counter=counter)
        answers = playing.hears(5)
        playing.ends()
    lost = [answer.reason for answer in answers if answer.verdict is Outcome.NOT_INSPECTED]
    assert lost == [f"frame_lost: number {number} did not come" for number in (3, 4)]
    assert sum(answer.verdict is Outcome.OK for answer in answers) == 3


def test_files_of_one_name_are_one_part_and_are_put_away_together(
    make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    (drop := tmp_path / "drop").mkdir()
    for name, shade in (
        ("P1_left", GREEN),
        ("P2_left", GREEN),
        ("P1_right", RED),
        ("P2_right", GREEN),
    ):
        (drop / f"{name}.png").write_bytes(png(colour(*shade)))
    (drop / "P3_left.png").write_bytes(png(colour(*GREEN)))
    config = StationConfig(
        station="L07-S3",
        site="plant",
        bundle=str(make_bundle()),
        source=f"dir:{drop}?watch=1&done=move:{tmp_path / 'done'}",
        broker=f"memory://parts-{next(_NAMES)}",
        state_dir=tmp_path / "state",
        trigger="folder",
        part_frames=2,
        deadline_ms=3000,
        frames=3,
    )
    with closing(open_subscriber(config.broker, "inspection/#")) as mes:
        with open_station(config) as station:
            health = station.run(threading.Event())
        seen = listen_until(mes, lambda new: bool(new) and new[-1].payload == b"stopped")
    answers = {answer.part_id: answer for answer in verdicts(seen)}
    assert {part: answer.verdict for part, answer in answers.items()} == {
        "P1": Outcome.DEFECT,
        "P2": Outcome.OK,
        "P3": Outcome.NOT_INSPECTED,
    }
    assert {view.frame_id for view in answers["P1"].views} == {"P1_left.png", "P1_right.png"}
    assert (health.parts, health.frames) == (3, 5)
    assert len(list((tmp_path / "done").iterdir())) == 5
