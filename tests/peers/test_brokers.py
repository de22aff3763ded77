"""Brokers that we did not test against while building: what the station promises, it promises there.

MQTT 5: ejabberd (Erlang, from Debian). MQTT 3.1.1 alone: amqtt (Python), aedes (Node) and what the
standard has every such broker answer; to them the station says so and keeps everything.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from pydantic import SecretStr

from edge_runtime.contracts.station_id import StationId
from edge_runtime.journal.journal import Journal
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.base import Acknowledgement, Message, Publisher, Subscriber
from edge_runtime.mes.credentials import Credentials
from edge_runtime.mes.links import open_publisher, open_subscriber
from edge_runtime.mes.sparkplug.mirror import SparkplugMirror
from tests.patience import eventually, listen_until
from tests.peers.brokers import Aedes, Amqtt, Ejabberd, PeerBroker
from tests.reliability.daemon import TOPICS, Daemon, Station
from tests.sample_verdicts import sample_verdict
from tests.sparkplug_host import Host, rebirth_command
from tests.tiny_bundle import write_bundle

VERDICT, REPLAY = f"{TOPICS}/verdict", f"{TOPICS}/replay"
AVAILABILITY, HEALTH = f"{TOPICS}/availability", f"{TOPICS}/health"
CREDENTIALS = Credentials(password=SecretStr(Ejabberd.PASSWORD))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as resources:
        yield resources


@pytest.fixture
def broker(tmp_path: Path, opened: ExitStack) -> Ejabberd:
    folder = tmp_path / "ejabberd"
    folder.mkdir()
    return opened.enter_context(Ejabberd(folder))


@pytest.fixture
def listen(broker: Ejabberd, opened: ExitStack) -> Callable[[str], Subscriber]:
    def subscribe(topic_filter: str = "inspection/#") -> Subscriber:
        address = broker.address("mes")
        return opened.enter_context(
            closing(open_subscriber(address, topic_filter, credentials=CREDENTIALS))
        )

    return subscribe


class Sender:
    """A started publisher and the answers it gave."""

    def __init__(self, broker: Ejabberd) -> None:
        self.publisher: Publisher = open_publisher(
            broker.address("station"),
            client_id="edge-inspect-plant-1-L07-S3",
            availability_topic=AVAILABILITY,
            credentials=CREDENTIALS,
        )
        self.answers: list[Acknowledgement] = []
        self.publisher.set_state(HEALTH, b"fine")
        self.publisher.start(self.answers.append)
        assert eventually(lambda: self.publisher.connected), self.publisher.problem

    def publish(self, seq: int, topic: str = VERDICT) -> None:
        payload = json.dumps({"seq": seq}).encode()
        assert eventually(lambda: self.publisher.publish(seq, topic, payload))

    def close(self) -> None:
        self.publisher.stop(2.0)


def last_said(topic: str, payload: bytes) -> Callable[[list[Message]], bool]:
    return lambda messages: (
        bool(messages) and (messages[-1].topic, messages[-1].payload) == (topic, payload)
    )


def beyond(seq: int) -> Callable[[list[Message]], bool]:
    return lambda messages: max(seqs(messages[-1:]), default=0) > seq


def has_come(missing: set[int]) -> Callable[[list[Message]], bool]:
    """Each of these was sent again."""
    lacking = set(missing)

    def complete(messages: list[Message]) -> bool:
        lacking.difference_update(seqs(messages[-1:], REPLAY))
        return not lacking

    return complete


def seqs(messages: list[Message], topic: str = VERDICT) -> list[int]:
    return [json.loads(message.payload)["seq"] for message in messages if message.topic == topic]


def test_states_come_first_then_online_then_every_verdict_once_and_in_order(
    broker: Ejabberd, listen: Callable[[], Subscriber], opened: ExitStack
) -> None:
    mes = listen()
    sender = opened.enter_context(closing(Sender(broker)))
    for seq in range(1, 1001):
        sender.publish(seq)
    messages = listen_until(mes, beyond(999))
    heard = [(message.topic, message.payload) for message in messages[:2]]
    assert heard == [(HEALTH, b"fine"), (AVAILABILITY, b"online")]
    assert seqs(messages) == list(range(1, 1001))
    assert eventually(lambda: len(sender.answers) == 1000)
    assert [answer.number for answer in sender.answers] == list(range(1, 1001))
    assert not any(answer.refusal for answer in sender.answers)
    sender.close()
    listen_until(mes, last_said(AVAILABILITY, b"stopped"))
    assert mes.receive(0.3) is None


def test_a_refusal_is_answered_with_its_reason_and_the_next_goes_on(
    broker: Ejabberd, opened: ExitStack
) -> None:
    sender = opened.enter_context(closing(Sender(broker)))
    sender.publish(1, "elsewhere/verdict")
    sender.publish(2)
    assert eventually(lambda: len(sender.answers) == 2)
    refusals = {answer.number: answer.refusal for answer in sender.answers}
    assert refusals == {1: "Topic name invalid (0x90)", 2: None}
    assert sender.publisher.connections == 1


def test_states_are_retained_and_verdicts_are_not_even_after_a_kill(
    broker: Ejabberd, listen: Callable[[], Subscriber], opened: ExitStack
) -> None:
    sender = opened.enter_context(closing(Sender(broker)))
    sender.publish(1)
    assert eventually(lambda: sender.answers)
    broker.kill()
    assert eventually(lambda: not sender.publisher.connected)
    broker.start()
    assert eventually(lambda: sender.publisher.connected)
    assert sender.publisher.connections == 2
    retained = {HEALTH: b"fine", AVAILABILITY: b"online"}
    messages = listen_until(listen(), lambda messages: len(messages) == 2)
    assert {message.topic: message.payload for message in messages} == retained
    assert all(message.retained for message in messages)


def test_two_clients_with_one_id_are_told_so(broker: Ejabberd, opened: ExitStack) -> None:
    first, second = (opened.enter_context(closing(Sender(broker))).publisher for _ in range(2))
    assert eventually(lambda: any("same client id" in (it.problem or "") for it in (first, second)))
    assert first.connections + second.connections < 20


def daemon_at(broker: Ejabberd, bundle: Path, folder: Path) -> Daemon:
    station = Station(
        folder=folder,
        broker=broker.address("station"),
        bundle=bundle,
        environment={**Ejabberd.ENVIRONMENT, "EDGE_INSPECT_MQTT_REPLAY": "true"},
    )
    return station.start()


def test_a_killed_station_is_offline_and_delivers_the_rest_when_it_is_back(
    broker: Ejabberd, listen: Callable[[], Subscriber], bundle: Path, tmp_path: Path
) -> None:
    mes = listen()
    seen: list[Message] = []
    for _ in range(3):
        with daemon_at(broker, bundle, tmp_path) as daemon:
            seen += listen_until(mes, beyond(max(seqs(seen), default=0) + 20))
            daemon.kill()
        seen += listen_until(mes, last_said(AVAILABILITY, b"offline"))
        assert seen[-1].payload == b"offline"
    with daemon_at(broker, bundle, tmp_path) as daemon:
        seen += listen_until(mes, last_said(AVAILABILITY, b"online"))
        assert daemon.stop() == 0
    seen += listen_until(mes, last_said(AVAILABILITY, b"stopped"))
    last_seq = last_committed(tmp_path / "state")
    assert last_seq >= 60
    assert set(seqs(seen)) == set(range(1, last_seq + 1))


def test_what_a_killed_broker_lost_is_had_again_by_replay(
    broker: Ejabberd, listen: Callable[[], Subscriber], bundle: Path, tmp_path: Path
) -> None:
    # It keeps sessions in memory: what the MES had not received yet dies with them.
    mes = listen()
    with daemon_at(broker, bundle, tmp_path) as daemon:
        seen = listen_until(mes, beyond(20))
        for _ in range(3):
            broker.kill()
            time.sleep(0.3)
            broker.start()
            seen += listen_until(mes, beyond(max(seqs(seen)) + 50))
        newest = max(seqs(seen))
        missing = set(range(1, newest)) - set(seqs(seen))
        assert missing, "there was something to ask for"
        request = {"from_seq": min(missing), "to_seq": max(missing)}
        assert mes.publish(f"{TOPICS}/replay/set", json.dumps(request).encode())
        # Some thousand verdicts, beside the live ones.
        seen += listen_until(mes, has_come(missing), timeout_s=60.0)
        assert daemon.stop() == 0
    assert {*seqs(seen), *seqs(seen, REPLAY)} >= set(range(1, newest + 1))
    with closing(Journal(tmp_path / "state")) as journal:
        assert journal.pending_count == 0


def last_committed(state_dir: Path) -> int:
    with closing(Journal(state_dir)) as journal:
        return journal.next_seq - 1


def test_the_sparkplug_mirror_is_born_asked_again_and_dies(
    broker: Ejabberd, listen: Callable[[str], Subscriber], tmp_path: Path
) -> None:
    host, mes = Host(), listen("spBv1.0/#")

    def hear_until(kind: str) -> None:
        heard = ""
        while heard != kind:
            message = mes.receive(10.0)
            assert message is not None, f"no {kind}"
            if "/NCMD/" not in message.topic:
                heard = host.hear(message.topic, message.payload)

    mirror = SparkplugMirror(
        MqttAddress(host="127.0.0.1", port=broker.port, user="station"),
        group="VoltForge",
        station=StationId.parse("L07-S3"),
        client_id="edge-inspect-plant-1-L07-S3",
        state_dir=tmp_path,
        credentials=CREDENTIALS,
    )
    mirror.start()
    hear_until("DBIRTH")
    mirror.mirror([sample_verdict(1)])
    hear_until("DDATA")
    assert mes.publish("spBv1.0/VoltForge/NCMD/L07-S3", rebirth_command())
    hear_until("DBIRTH")
    assert host.current["part_id"] == "P-1"
    mirror.stop(5.0)
    hear_until("NDEATH")
    assert not host.online


# --- brokers without MQTT 5 ---------------------------------------------------------------------------


class ByTheBook:
    """Answers every CONNECT as MQTT 3.1.1 demands for a level that it does not know (3.1.2.2)."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            with link:
                link.recv(4096)
                link.sendall(b"\x20\x02\x00\x01")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


@pytest.fixture(params=[ByTheBook, Aedes, Amqtt])
def old(
    request: pytest.FixtureRequest, tmp_path: Path, opened: ExitStack
) -> ByTheBook | PeerBroker:
    if request.param is ByTheBook:
        return opened.enter_context(closing(ByTheBook()))
    broker: PeerBroker = opened.enter_context(request.param(tmp_path))
    return broker


def test_a_broker_without_mqtt_5_is_named_once_while_the_station_keeps_everything(
    old: ByTheBook | PeerBroker, bundle: Path, tmp_path: Path
) -> None:
    # amqtt 0.12 takes the CONNECT for a malformed one of its own version, and never answers.
    words = "has not answered CONNECT" if isinstance(old, Amqtt) else "it speaks no MQTT 5"
    station = Station(folder=tmp_path, broker=f"mqtt://127.0.0.1:{old.port}", bundle=bundle)
    with station.start() as daemon:
        assert daemon.says(words), daemon.words()
        time.sleep(2.0)
        assert daemon.running
        assert daemon.words().count(words) == 1
        assert daemon.stop() == 0
    said = daemon.words().strip().splitlines()
    frames = int(said[-1].partition(" frames, ")[0].split()[-1])
    assert frames > 20
    with closing(Journal(tmp_path / "state")) as journal:
        assert journal.pending_count == frames
    assert "Traceback" not in daemon.words()
