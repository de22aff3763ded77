"""The mirror at a real broker, heard by a host application that we wrote only for tests."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_runtime.assembly.station import open_station
from edge_runtime.config import StationConfig
from edge_runtime.contracts.station_id import StationId
from edge_runtime.errors import BrokerError, UsageError
from edge_runtime.mes.links import open_mirror
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.mes.sparkplug import link as link_module
from edge_runtime.mes.sparkplug import mirror as mirror_module
from edge_runtime.mes.sparkplug.mirror import SparkplugMirror
from tests.patience import eventually
from tests.sample_verdicts import sample_verdict
from tests.sparkplug_host import Host, rebirth_command

COMMANDS = "spBv1.0/VoltForge/NCMD/L07-S3"


class HostApplication:
    """A subscriber that holds the node to the rules; `broken` says which one it broke."""

    def __init__(self, port: int) -> None:
        self.host = Host()
        self.kinds: list[str] = []
        self.broken: Exception | AssertionError | None = None
        self.delivery: set[tuple[int, bool]] = set()
        """QoS and retain flag of everything that came."""
        self._ready = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("spBv1.0/#", qos=1)
        self._client.on_subscribe = lambda *_: self._ready.set()
        self._client.on_message = self._hear
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(10)

    def _hear(self, _client: paho.Client, _userdata: object, message: paho.MQTTMessage) -> None:
        if "/NCMD/" in message.topic:
            return
        self.delivery.add((message.qos, message.retain))
        try:
            self.kinds.append(self.host.hear(message.topic, bytes(message.payload)))
        except (AssertionError, ValueError, KeyError) as exc:
            self.broken = exc

    def command(self, payload: bytes) -> None:
        self._client.publish(COMMANDS, payload, qos=0)

    def seqs(self) -> list[object]:
        return [part["seq"] for part in self.host.parts]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
        assert self.broken is None, self.broken


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as resources:
        yield resources


@pytest.fixture
def application(broker: PrivateBroker, opened: ExitStack) -> HostApplication:
    return opened.enter_context(closing(HostApplication(broker.port)))


def open_at(address: str, folder: Path) -> SparkplugMirror:
    return open_mirror(
        address,
        group="VoltForge",
        station=StationId.parse("L07-S3"),
        client_id="edge-inspect-plant-1-L07-S3",
        state_dir=folder,
    )


@contextmanager
def mirroring(port: int, folder: Path) -> Iterator[SparkplugMirror]:
    mirror = open_at(f"mqtt://127.0.0.1:{port}", folder)
    mirror.start()
    try:
        yield mirror
    finally:
        mirror.stop(5.0)


@pytest.fixture
def mirror(
    broker: PrivateBroker, application: HostApplication, opened: ExitStack, tmp_path: Path
) -> SparkplugMirror:
    """Connected to a broker at which the host application listens."""
    mirror = opened.enter_context(mirroring(broker.port, tmp_path))
    assert eventually(lambda: application.host.device_online), mirror.problem
    return mirror


def test_births_come_first_and_then_one_message_for_each_verdict(
    mirror: SparkplugMirror, application: HostApplication
) -> None:
    mirror.mirror([sample_verdict(seq) for seq in range(1, 601)])
    assert eventually(lambda: len(application.host.parts) == 600)
    assert application.seqs() == list(range(1, 601))
    assert application.delivery == {(0, False)}
    assert not any(part["historical"] for part in application.host.parts)
    assert (mirror.connected, mirror.problem, mirror.dropped) == (True, None, 0)


def test_a_clean_stop_sends_what_waits_and_the_deaths(
    mirror: SparkplugMirror, application: HostApplication
) -> None:
    mirror.mirror([sample_verdict(seq) for seq in range(1, 101)])
    mirror.stop(5.0)
    mirror.stop(5.0)
    assert eventually(lambda: application.kinds[-2:] == ["DDEATH", "NDEATH"])
    assert application.seqs() == list(range(1, 101))
    assert not application.host.online
    assert mirror.dropped == 0


def test_a_host_that_asks_for_births_gets_them_and_the_data_goes_on(
    mirror: SparkplugMirror, application: HostApplication
) -> None:
    mirror.mirror([sample_verdict(1)])
    assert eventually(lambda: application.host.parts)
    births = application.host.births
    application.command(rebirth_command())
    assert eventually(lambda: application.host.births == births + 1)
    mirror.mirror([sample_verdict(2)])
    assert eventually(lambda: application.seqs() == [1, 2])


def test_a_flood_of_rebirth_requests_is_answered_once_a_second(
    mirror: SparkplugMirror, application: HostApplication
) -> None:
    began = time.monotonic()
    for _ in range(500):
        application.command(rebirth_command())
    mirror.mirror([sample_verdict(1)])
    assert eventually(lambda: application.host.parts)
    assert application.host.births <= 4 + (time.monotonic() - began)


def test_commands_that_are_none_are_ignored_and_remarked_once(
    mirror: SparkplugMirror, application: HostApplication, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(20):
        application.command(b"\x12\xff")
        application.command(bytes(100_000))
    mirror.mirror([sample_verdict(1)])
    assert eventually(lambda: application.host.parts)
    assert eventually(lambda: "ignoring a Sparkplug command" in caplog.text)
    assert caplog.text.count("ignoring a Sparkplug command") == 1


class Outage:
    """Kills the broker; at its end the host application listens before the mirror may connect."""

    def __init__(self, broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch) -> None:
        self._broker = broker
        self._over = threading.Event()
        connect = link_module.connect

        def held_back(*arguments: Any, **options: Any) -> Any:
            if not self._over.is_set():
                raise BrokerError("cannot be reached: held back by the test")
            return connect(*arguments, **options)

        broker.kill()
        monkeypatch.setattr(link_module, "connect", held_back)

    @contextmanager
    def end(self) -> Iterator[HostApplication]:
        self._broker.start()
        with closing(HostApplication(self._broker.port)) as application:
            self._over.set()
            yield application


@pytest.fixture
def begin_outage(broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Outage]:
    return lambda: Outage(broker, monkeypatch)


def test_verdicts_of_an_outage_arrive_as_history(
    mirror: SparkplugMirror, begin_outage: Callable[[], Outage], tmp_path: Path
) -> None:
    mirror.mirror([sample_verdict(1)])
    outage = begin_outage()
    assert eventually(lambda: not mirror.connected)
    assert mirror.problem is not None
    mirror.mirror([sample_verdict(seq) for seq in range(2, 12)])
    with outage.end() as application:
        assert eventually(lambda: len(application.host.parts) == 10)
        mirror.mirror([sample_verdict(12)])
        assert eventually(lambda: application.seqs() == list(range(2, 13)))
    assert [part["historical"] for part in application.host.parts] == [True] * 10 + [False]
    assert (application.host.bd_seq or 0) > 0
    assert (tmp_path / "sparkplug.bdseq").read_text() == f"{application.host.bd_seq}\n"


def test_the_birth_after_an_outage_shows_the_newest_verdict(
    mirror: SparkplugMirror, begin_outage: Callable[[], Outage]
) -> None:
    outage = begin_outage()
    assert eventually(lambda: not mirror.connected)
    mirror.mirror([sample_verdict(seq) for seq in range(1, 12)])
    with outage.end() as application:
        assert eventually(lambda: len(application.host.parts) == 11)
        assert application.host.current["seq"] == 11


def test_while_there_is_no_broker_the_oldest_give_way_and_are_counted(
    mirror: SparkplugMirror,
    begin_outage: Callable[[], Outage],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mirror_module, "_KEPT", 100)
    outage = begin_outage()
    assert eventually(lambda: not mirror.connected)
    mirror.mirror([sample_verdict(seq) for seq in range(1, 251)])
    assert mirror.dropped == 150
    with outage.end() as application:
        assert eventually(lambda: len(application.host.parts) == 100)
    assert application.seqs() == list(range(151, 251))


def test_a_broker_that_reads_nothing_never_holds_the_caller_back(
    broker: PrivateBroker, mirror: SparkplugMirror
) -> None:
    os.kill(broker.pid, signal.SIGSTOP)
    began = time.monotonic()
    for seq in range(1, 20_001, 50):
        mirror.mirror([sample_verdict(seq)] * 50)
    assert time.monotonic() - began < 5.0
    assert eventually(lambda: mirror.dropped > 0)
    began = time.monotonic()
    mirror.stop(0.5)
    assert eventually(lambda: not mirror.connected, 5.0)
    assert time.monotonic() - began < 5.0
    os.kill(broker.pid, signal.SIGCONT)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from edge_runtime.contracts.station_id import StationId
from edge_runtime.mes.links import open_mirror
mirror = open_mirror(
    sys.argv[1], group="VoltForge", station=StationId.parse("L07-S3"), client_id="s3",
    state_dir=Path(sys.argv[2]),
)
mirror.start()
while not mirror.connected:
    time.sleep(0.01)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_station_that_is_killed_is_declared_dead_by_its_will(
    broker: PrivateBroker, application: HostApplication, tmp_path: Path
) -> None:
    for attempt in (0, 1):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, broker.address, str(tmp_path)], stdin=subprocess.PIPE
        )
        assert eventually(lambda: application.host.device_online)
        assert application.host.bd_seq == attempt
        process.communicate()
        assert eventually(lambda: not application.host.online)


def test_a_broker_that_refuses_is_named_with_the_remedy(
    mosquitto: Callable[..., PrivateBroker], tmp_path: Path
) -> None:
    guarded = mosquitto(extra_config="allow_anonymous false")
    with mirroring(guarded.port, tmp_path) as mirror:
        assert eventually(lambda: "EDGE_INSPECT_MQTT_PASSWORD" in (mirror.problem or ""))
        assert not mirror.connected


def test_a_broker_that_says_nothing_is_left_again(
    broker: PrivateBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module.Link, "PATIENCE_S", 0.3)
    os.kill(broker.pid, signal.SIGSTOP)
    with mirroring(broker.port, tmp_path) as mirror:
        assert eventually(lambda: "not answered within" in (mirror.problem or ""))
        os.kill(broker.pid, signal.SIGCONT)
        assert eventually(lambda: mirror.connected)


def test_a_station_that_is_told_to_mirrors_every_verdict_of_its_record(
    broker: PrivateBroker,
    application: HostApplication,
    make_bundle: Callable[..., Path],
    folder_of_parts: Path,
    tmp_path: Path,
) -> None:
    config = StationConfig(
        station="L07-S3",
        bundle=str(make_bundle()),
        source=f"dir:{folder_of_parts}",
        broker=broker.address,
        state_dir=tmp_path / "state",
        mqtt_sparkplug_group="VoltForge",
    )
    with open_station(config) as station:
        health = station.run(threading.Event())
    assert eventually(lambda: not application.host.device_online)
    assert application.seqs() == list(range(1, health.frames + 1))
    assert health.not_mirrored == 0
    assert health.problem is None


def test_a_mirror_starts_once(mirror: SparkplugMirror) -> None:
    with pytest.raises(RuntimeError, match="started before"):
        mirror.start()


def test_an_address_within_the_process_cannot_be_mirrored(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="memory://here reaches no Sparkplug host"):
        open_at("memory://here", tmp_path)


def test_without_protobuf_one_line_names_the_extra() -> None:
    program = (
        "import sys; sys.modules['google.protobuf'] = None\n"
        "from edge_runtime.errors import UsageError\n"
        "try:\n    import edge_runtime.mes.sparkplug.mirror\n"
        "except UsageError as exc:\n    print(exc)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout == (
        "mqtt_sparkplug_group is set, but protobuf is not installed: "
        "pip install 'edge-inspect[sparkplug]'\n"
    )
