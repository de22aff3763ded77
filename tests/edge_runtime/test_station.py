"""The wired station against both brokers: every frame in is one verdict out."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from edge_runtime.assembly.station import open_station
from edge_runtime.bundle import open_bundle
from edge_runtime.config import StationConfig
from edge_runtime.contracts.drift import DriftLevel, DriftReference, DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.retrain import RetrainRequest, RetrainState
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.statistics import MEASURES, measure
from edge_runtime.engines.ort import OnnxRuntimeEngine
from edge_runtime.errors import CameraError, EngineError, StateError
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.base import Message
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.retraining.memory import write_memory
from edge_runtime.retraining.triggers import Memory
from optimize.builder.drift_reference import reference
from tests.patience import listen_until
from tests.received import by_number, verdicts
from tests.tiny_bundle import GREEN, RED, colour, png

_NAMES = itertools.count()


@pytest.fixture(params=["memory", "mosquitto"])
def address(request: pytest.FixtureRequest) -> str:
    """A broker of either kind, fresh for this test."""
    if request.param == "memory":
        return f"memory://station-{next(_NAMES)}"
    broker: PrivateBroker = request.getfixturevalue("broker")
    return broker.address


@pytest.fixture
def config(
    address: str, make_bundle: Callable[..., Path], folder_of_parts: Path, tmp_path: Path
) -> StationConfig:
    return StationConfig(
        station="L07-S3",
        site="plant",
        bundle=str(make_bundle()),
        source=f"dir:{folder_of_parts}",
        broker=address,
        state_dir=tmp_path / "state",
        max_batch=4,
    )


def run_station(
    config: StationConfig, stop: threading.Event | None = None
) -> tuple[Health, list[Message]]:
    """Run to the end; returns the final health and all that a subscriber saw until `stopped`."""
    with closing(open_subscriber(config.broker, "inspection/#")) as mes:
        with open_station(config) as station:
            health = station.run(stop or threading.Event())
        seen = listen_until(mes, has_stopped)
    return health, seen


def has_stopped(messages: Sequence[Message]) -> bool:
    """A `stopped` of this run, not one the broker kept from an earlier run."""
    return bool(messages) and messages[-1].payload == b"stopped" and not messages[-1].retained


def test_every_frame_is_one_verdict_in_order(config: StationConfig) -> None:
    health, messages = run_station(config)
    answers = by_number(messages)
    assert [answer.seq for answer in answers] == list(range(1, 14))
    assert [answer.part_id for answer in answers] == sorted(answer.part_id for answer in answers)
    assert Counter(answer.verdict for answer in answers) == {
        Outcome.OK: 6,
        Outcome.DEFECT: 5,
        Outcome.NOT_INSPECTED: 2,
    }
    assert Counter(answer.label for answer in answers) == {
        "no_defect": 6,
        "red": 3,
        "blue": 2,
        None: 2,
    }
    assert health.frames == health.acknowledged == sum(health.verdicts.values()) == 13
    assert (health.pending, health.refused, health.problem) == (0, 0, None)
    assert health.latency is not None
    assert health.latency.frames == 13


def test_what_cannot_be_seen_is_said_with_its_reason(config: StationConfig) -> None:
    _, messages = run_station(config)
    blind = [a for a in verdicts(messages) if a.verdict is Outcome.NOT_INSPECTED]
    assert {answer.part_id for answer in blind} == {"3-empty.jpg", "4-garbage.jpg"}
    for answer in blind:
        assert answer.reason is not None
        assert answer.reason.startswith("undecodable: ")
        assert (answer.label, dict(answer.scores)) == (None, {})
        assert answer.timings_ms.infer == 0


def test_verdicts_are_events_and_states_are_retained(config: StationConfig) -> None:
    _, messages = run_station(config)
    topics = {message.topic for message in messages}
    root = "inspection/plant/L07/S3"
    states = ("retrain", "health", "journal", "drift", "availability")
    assert topics == {f"{root}/{name}" for name in ("verdict", *states)}
    assert [m.payload for m in messages if m.topic == f"{root}/availability"] == [
        b"online",
        b"stopped",
    ]
    first = [message.topic for message in messages[:2]]
    assert first == [f"{root}/retrain", f"{root}/health"], "states come before `online`"
    with closing(open_subscriber(config.broker, "inspection/#")) as late:
        kept = listen_until(late, lambda messages: len(messages) == 5, timeout_s=5)
    assert {message.topic for message in kept} == topics - {f"{root}/verdict"}
    assert all(message.retained for message in kept)


def drift_reports(messages: Sequence[Message]) -> list[DriftReport]:
    topic = "inspection/plant/L07/S3/drift"
    return [DriftReport.model_validate_json(m.payload) for m in messages if m.topic == topic]


def green_reference() -> DriftReference:
    """Of green parts alone, on the tiny bundle's frames."""
    rng = np.random.default_rng(0)
    rows = rng.normal(measure(colour(*GREEN)).row(), 0.05, (200, len(MEASURES)))
    shares = {"not_inspected": np.zeros(200), "class:red": np.zeros(200)}
    return reference("green sha256:00", rows, [""] * 200, shares, line_mix=True)


def test_a_bundle_without_a_reference_runs_and_says_that_nothing_is_monitored(
    config: StationConfig,
) -> None:
    _, messages = run_station(config)
    last = drift_reports(messages)[-1]
    assert (last.level, last.parts, last.since) == (DriftLevel.NOT_MONITORED, 0, None)
    assert last.summary == (
        "not monitored: bundle tiny/1.0.0 has no drift reference: build it again with --validation"
    )


@pytest.mark.parametrize(
    ("shade", "level"), [(GREEN, DriftLevel.OK), (RED, DriftLevel.ALARM)], ids=["green", "red"]
)
def test_parts_unlike_those_of_the_reference_alarm_and_others_do_not(
    shade: tuple[int, int, int],
    level: DriftLevel,
    config: StationConfig,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
) -> None:
    (folder := tmp_path / "shaded").mkdir()
    for number in range(160):
        (folder / f"{number:03}.png").write_bytes(png(colour(*shade)))
    bundle = make_bundle(name="watched", drift=green_reference())
    update = {"bundle": str(bundle), "source": f"dir:{folder}"}
    _, messages = run_station(config.model_copy(update=update))
    last = drift_reports(messages)[-1]
    assert (last.level, last.parts) == (level, 160)
    assert {moved.statistic for moved in last.moved} >= (
        {"colour"} if level is DriftLevel.ALARM else set()
    )


def test_a_request_of_an_earlier_start_is_still_open(
    config: StationConfig, make_bundle: Callable[..., Path]
) -> None:
    bundle = make_bundle(name="watched", drift=green_reference())
    config = config.model_copy(update={"bundle": str(bundle)})
    memory = Memory(
        bundle="watched/1.0.0",
        model_sha256=open_bundle(bundle).manifest.files["float32.onnx"],
    )
    request = RetrainRequest(
        id="20260302T000000Z-drift",
        at=datetime(2026, 3, 2, tzinfo=UTC),
        rule="drift",
        words="drift alarm",
        bundle=memory.bundle,
        model_sha256=memory.model_sha256,
        source_sha256=None,
        level=DriftLevel.ALARM,
        evidence=None,
    )
    config.state_dir.mkdir()
    write_memory(config.state_dir, memory.model_copy(update={"requests": (request,)}))
    _, messages = run_station(config)
    topic = "inspection/plant/L07/S3/retrain"
    states = [RetrainState.model_validate_json(m.payload) for m in messages if m.topic == topic]
    assert states[-1].requests == (request,)


def test_retraining_can_be_switched_off(config: StationConfig) -> None:
    _, messages = run_station(config.model_copy(update={"retrain_watch": False}))
    assert not any(message.topic.endswith("/retrain") for message in messages)


def test_drift_can_be_switched_off(config: StationConfig, make_bundle: Callable[..., Path]) -> None:
    bundle = make_bundle(name="watched", drift=green_reference())
    update = {"bundle": str(bundle), "drift_watch": False}
    _, messages = run_station(config.model_copy(update=update))
    last = drift_reports(messages)[-1]
    assert last.level is DriftLevel.NOT_MONITORED
    assert last.summary == "not monitored: switched off (drift_watch = false)"


def test_a_verdict_says_where_it_comes_from_and_where_the_time_went(config: StationConfig) -> None:
    _, messages = run_station(config)
    answer = verdicts(messages)[0]
    assert (answer.site, answer.line, answer.station) == ("plant", "L07", "S3")
    assert answer.internal_recipe_id == "tiny/1.0.0"
    assert answer.config_sha256 == config.sha256()
    assert answer.decided_at >= answer.captured_at
    assert answer.delivery.waited_ms > 0
    assert b"image" not in next(m.payload for m in messages if m.topic.endswith("/verdict"))


def test_numbers_go_on_after_a_restart_under_a_new_boot_id(config: StationConfig) -> None:
    _, first = run_station(config)
    _, second = run_station(config)
    assert [answer.seq for answer in by_number(second)] == list(range(14, 27))
    assert verdicts(first)[0].boot_id != verdicts(second)[0].boot_id


def test_the_frame_limit_ends_the_run(config: StationConfig) -> None:
    health, messages = run_station(config.model_copy(update={"frames": 5}))
    assert health.frames == len(verdicts(messages)) == 5


def test_stop_drains_what_was_taken_in(config: StationConfig) -> None:
    endless = config.model_copy(update={"source": "simulated:gen3?seed=1&rate=200"})
    stop = threading.Event()
    timer = threading.Timer(1.0, stop.set)
    timer.start()
    health, messages = run_station(endless, stop)
    assert health.frames > 0
    assert health.frames == len(verdicts(messages)) == health.acknowledged


def test_an_engine_that_fails_is_answered_and_reported(
    config: StationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_after_the_golden_frames(self: OnnxRuntimeEngine, batch: object) -> None:
        raise EngineError("out of order")

    with (
        closing(open_subscriber(config.broker, "inspection/#")) as mes,
        open_station(config) as station,
    ):
        monkeypatch.setattr(OnnxRuntimeEngine, "infer", fail_after_the_golden_frames)
        health = station.run(threading.Event())
        messages = listen_until(mes, lambda seen: len(verdicts(seen)) == 13)
    assert health.verdicts[Outcome.NOT_INSPECTED] == len(verdicts(messages)) == 13
    reasons = Counter(answer.reason for answer in verdicts(messages))
    assert reasons["engine: out of order"] > 0
    assert sum(reasons[reason] for reason in reasons if "out of order" in str(reason)) == 11


def test_a_camera_that_fails_ends_the_run_after_answering_what_came(
    config: StationConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        closing(open_subscriber(config.broker, "inspection/#")) as mes,
        open_station(config) as station,
    ):
        (camera,) = station._cameras
        read, calls = camera.read, itertools.count()

        def give_three(timeout_s: float) -> object:
            if next(calls) == 3:
                raise CameraError("unplugged")
            return read(timeout_s)

        monkeypatch.setattr(camera, "read", give_three)
        with pytest.raises(CameraError, match="unplugged"):
            station.run(threading.Event())
        messages = listen_until(mes, lambda seen: len(verdicts(seen)) == 3)
    assert len(verdicts(messages)) == 3


def test_files_leave_the_drop_folder_once_their_verdicts_are_durable(
    config: StationConfig, folder_of_parts: Path, tmp_path: Path
) -> None:
    names = {path.name for path in folder_of_parts.iterdir()}
    source = f"dir:{folder_of_parts}?watch=1&done=move:{tmp_path / 'done'}"
    config = config.model_copy(update={"source": source, "frames": 11})
    health, _ = run_station(config)
    assert sum(health.verdicts.values()) == 11
    put_away = {path.name for path in (tmp_path / "done").iterdir()}
    assert put_away | {path.name for path in folder_of_parts.iterdir()} == names
    assert len(put_away) == 11


class StubbornJournal(Journal):
    """An journal on a disk that is full for the first `refusals` commits."""

    refusals = 3

    def append(self, entries: Sequence[Entry]) -> None:
        if self.refusals > 0:
            self.refusals -= 1
            raise StateError("the disk is full: free space on it")
        super().append(entries)


@pytest.fixture
def stubborn(monkeypatch: pytest.MonkeyPatch) -> type[StubbornJournal]:
    monkeypatch.setattr("edge_runtime.assembly.station.Journal", StubbornJournal)
    monkeypatch.setattr("edge_runtime.committer._RETRY_S", 0.01)
    return StubbornJournal


@pytest.mark.usefixtures("stubborn")
def test_a_full_disk_holds_verdicts_back_and_loses_none(config: StationConfig) -> None:
    health, messages = run_station(config)
    assert [answer.seq for answer in by_number(messages)] == list(range(1, 14))
    assert health.problem is None
    problems = [
        json.loads(message.payload)["problem"]
        for message in messages
        if message.topic.endswith("/health")
    ]
    assert "the disk is full: free space on it" in problems


@pytest.mark.parametrize("endless", [False, True])
def test_a_disk_that_stays_full_ends_the_run_with_that_error(
    endless: bool,
    config: StationConfig,
    stubborn: type[StubbornJournal],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(stubborn, "refusals", 10**9)
    if endless:
        config = config.model_copy(update={"source": "simulated:gen3?seed=1&rate=200"})
    stop = threading.Event()
    with open_station(config) as station:
        station._drain_s = 0.3
        threading.Timer(0.3, stop.set).start()
        with pytest.raises(StateError, match="the disk is full"):
            station.run(stop)
    assert "parts were taken in and could not be answered" in caplog.text


def test_an_unreachable_broker_stops_nothing(
    config: StationConfig, mosquitto: Callable[..., PrivateBroker]
) -> None:
    broker = mosquitto()
    broker.kill()
    away = config.model_copy(update={"broker": broker.address})
    with open_station(away) as station:
        station._drain_s = 0.2
        health = station.run(threading.Event())
    assert health.pending == sum(health.verdicts.values()) == 13
    assert health.problem is not None
    broker.start()
    with closing(open_subscriber(broker.address, "inspection/#")) as mes:
        with open_station(away.model_copy(update={"source": config.source, "frames": 1})) as again:
            again.run(threading.Event())
        seen = listen_until(mes, lambda messages: len(verdicts(messages)) == 14)
    assert [answer.seq for answer in by_number(seen)] == list(range(1, 15))
