"""What every publisher and subscriber promises, over MQTT with a real mosquitto and in memory alike."""

import getpass
import json
import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

import pytest

from edge_runtime.errors import BrokerError
from edge_runtime.mes.base import Acknowledgement, Message, Publisher, Subscriber
from edge_runtime.mes.links import open_publisher, open_subscriber
from edge_runtime.mes.memory import MemoryBroker
from edge_runtime.mes.private_broker import PrivateBroker
from tests.patience import eventually, listen_until

VERDICT = "inspection/plant-1/L07/S3/verdict"
AVAILABILITY = "inspection/plant-1/L07/S3/availability"
HEALTH = "inspection/plant-1/L07/S3/health"
COMMAND = "inspection/plant-1/L07/S3/replay/set"
WINDOW = 256


class Broker(Protocol):
    """A broker that can be made to misbehave."""

    address: str

    def go_down(self) -> None: ...
    def come_up(self) -> None: ...
    def stop_answering(self) -> None: ...
    def answer_again(self) -> None: ...


class Mosquitto:
    def __init__(self, broker: PrivateBroker) -> None:
        self._broker = broker
        self.address = broker.address

    def go_down(self) -> None:
        self._broker.kill()

    def come_up(self) -> None:
        self._broker.start()

    def stop_answering(self) -> None:
        os.kill(self._broker.pid, signal.SIGSTOP)

    def answer_again(self) -> None:
        os.kill(self._broker.pid, signal.SIGCONT)


class Memory:
    def __init__(self, name: str) -> None:
        self._broker = MemoryBroker.named(name)
        self.address = f"memory://{name}"

    def go_down(self) -> None:
        self._broker.set_up(False)

    def come_up(self) -> None:
        self._broker.set_up(True)

    def stop_answering(self) -> None:
        self._broker.hold_answers(True)

    def answer_again(self) -> None:
        self._broker.hold_answers(False)


@pytest.fixture(params=["mosquitto", "memory"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def broker(kind: str, mosquitto: Callable[..., PrivateBroker]) -> Broker:
    """A broker that remembers sessions and retained messages when it is killed."""
    if kind == "memory":
        return Memory(uuid.uuid4().hex)
    return Mosquitto(mosquitto(persistence=True, extra_config="autosave_on_changes true"))


@pytest.fixture
def picky_address(kind: str, mosquitto: Callable[..., PrivateBroker], tmp_path: Path) -> str:
    """Address of a broker that refuses messages outside of `inspection/`."""
    if kind == "memory":
        name = uuid.uuid4().hex
        MemoryBroker.named(name).refuse_messages(
            lambda topic, _payload: None if topic.startswith("inspection/") else "Not authorized"
        )
        return f"memory://{name}"
    acl_file = tmp_path / "acl"
    acl_file.write_text("topic readwrite inspection/#\n", encoding="utf-8")
    # As root it would drop to a user of its own, who cannot read the test's folder.
    return mosquitto(extra_config=f"user {getpass.getuser()}\nacl_file {acl_file}").address


class Station:
    """A started publisher and the answers it gave."""

    def __init__(
        self,
        address: str,
        *,
        health: bytes = b"fine",
        client_id: str = "edge-inspect-plant-1-L07-S3",
        listen: tuple[str, Callable[[Message], None]] | None = None,
    ) -> None:
        self.publisher: Publisher = open_publisher(
            address, client_id=client_id, availability_topic=AVAILABILITY
        )
        if listen is not None:
            self.publisher.listen(*listen)
        self.answers: list[Acknowledgement] = []
        self.publisher.set_state(HEALTH, health)
        self.publisher.start(self.answers.append)

    def connect(self) -> None:
        assert eventually(lambda: self.publisher.connected), self.publisher.problem

    def publish(self, seq: int, topic: str = VERDICT) -> None:
        payload = json.dumps({"seq": seq}).encode()
        assert eventually(lambda: self.publisher.publish(seq, topic, payload))

    def answered(self, count: int) -> list[int]:
        assert eventually(lambda: len(self.answers) >= count), len(self.answers)
        return [answer.number for answer in self.answers]

    def close(self) -> None:
        self.publisher.stop(2.0)


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as resources:
        yield resources


@pytest.fixture
def mes(broker: Broker, opened: ExitStack) -> Subscriber:
    return opened.enter_context(closing(open_subscriber(broker.address, "inspection/#")))


@pytest.fixture
def station(broker: Broker, mes: Subscriber, opened: ExitStack) -> Station:
    """Connected to a broker at which the MES listens already."""
    station = opened.enter_context(closing(Station(broker.address)))
    station.connect()
    return station


def says(topic: str, payload: bytes) -> Callable[[list[Message]], bool]:
    return lambda messages: (
        bool(messages) and (messages[-1].topic, messages[-1].payload) == (topic, payload)
    )


def heard(messages: list[Message]) -> list[tuple[str, bytes]]:
    return [(message.topic, message.payload) for message in messages]


def seqs(messages: list[Message]) -> list[int]:
    return [json.loads(message.payload)["seq"] for message in messages if message.topic == VERDICT]


def test_states_come_first_and_online_last(station: Station, mes: Subscriber) -> None:
    station.publish(1)
    messages = listen_until(mes, lambda messages: 1 in seqs(messages))
    assert heard(messages) == [
        (HEALTH, b"fine"),
        (AVAILABILITY, b"online"),
        (VERDICT, b'{"seq": 1}'),
    ]


def test_every_reconnection_announces_the_latest_states_and_then_online(
    broker: Broker, station: Station, mes: Subscriber
) -> None:
    listen_until(mes, says(AVAILABILITY, b"online"))
    broker.go_down()
    assert eventually(lambda: not station.publisher.connected)
    station.publisher.set_state(HEALTH, b"outdated")
    station.publisher.set_state(HEALTH, b"worried")
    broker.come_up()
    station.connect()
    announced = [(HEALTH, b"worried"), (AVAILABILITY, b"online")]
    # What the broker had no receipt for when it was killed, it delivers again first.
    messages = listen_until(mes, lambda messages: heard(messages)[-2:] == announced)
    assert heard(messages)[-2:] == announced
    assert (HEALTH, b"outdated") not in heard(messages)
    assert station.publisher.connections == 2


def test_each_verdict_is_acknowledged_once_and_arrives_in_order(
    station: Station, mes: Subscriber
) -> None:
    for seq in range(1, 101):
        station.publish(seq)
    assert station.answered(100) == list(range(1, 101))
    assert all(answer.refusal is None for answer in station.answers)
    assert seqs(listen_until(mes, lambda messages: 100 in seqs(messages))) == list(range(1, 101))


def test_a_break_sends_the_unanswered_again_and_answers_each_once(
    broker: Broker, station: Station, mes: Subscriber
) -> None:
    broker.stop_answering()
    for seq in range(1, 31):
        station.publish(seq)
    broker.go_down()
    assert eventually(lambda: not station.publisher.connected)
    broker.come_up()
    broker.answer_again()
    assert sorted(station.answered(30)) == list(range(1, 31))
    messages = listen_until(mes, lambda messages: set(seqs(messages)) == set(range(1, 31)))
    assert set(seqs(messages)) == set(range(1, 31))
    station.publish(31)
    assert station.answered(31)[30:] == [31]


def test_nothing_is_taken_before_the_start_while_disconnected_or_after_the_stop(
    broker: Broker, station: Station
) -> None:
    idle = open_publisher(broker.address, client_id="idle", availability_topic="inspection/idle")
    assert not idle.publish(1, VERDICT, b"{}")
    broker.go_down()
    assert eventually(lambda: not station.publisher.connected)
    assert not station.publisher.publish(1, VERDICT, b"{}")
    assert station.publisher.problem is not None
    broker.come_up()
    station.connect()
    assert station.publisher.problem is None
    station.close()
    assert not station.publisher.publish(1, VERDICT, b"{}")
    assert station.answers == []


def test_a_full_window_takes_no_more_until_the_broker_answers(
    broker: Broker, station: Station
) -> None:
    broker.stop_answering()
    taken = [seq for seq in range(1, 400) if station.publisher.publish(seq, VERDICT, b"{}")]
    assert taken == list(range(1, WINDOW + 1))
    assert station.publisher.connected
    broker.answer_again()
    assert station.answered(WINDOW) == taken
    station.publish(WINDOW + 1)
    assert station.answered(WINDOW + 1)[-1] == WINDOW + 1


def test_states_are_retained_and_verdicts_are_not(broker: Broker, station: Station) -> None:
    station.publish(1)
    station.answered(1)
    with closing(open_subscriber(broker.address, "inspection/#")) as late:
        station.publish(2)
        messages = listen_until(late, lambda messages: 2 in seqs(messages))
    assert {(message.topic, message.retained) for message in messages} == {
        (HEALTH, True),
        (AVAILABILITY, True),
        (VERDICT, False),
    }
    assert seqs(messages) == [2]


def test_a_refused_message_is_answered_with_the_reason_and_the_next_goes_on(
    picky_address: str, opened: ExitStack
) -> None:
    station = opened.enter_context(closing(Station(picky_address)))
    station.connect()
    station.publish(1, "elsewhere/verdict")
    station.publish(2)
    station.answered(2)
    refusals = {answer.number: answer.refusal for answer in station.answers}
    assert refusals[2] is None
    assert "Not authorized" in (refusals[1] or "")
    assert station.publisher.connections == 1


def test_a_message_without_a_listener_counts_as_taken(broker: Broker, opened: ExitStack) -> None:
    alone = opened.enter_context(closing(Station(broker.address)))
    alone.connect()
    alone.publish(1)
    assert alone.answered(1) == [1]
    assert alone.answers[0].refusal is None


def test_a_clean_stop_says_stopped_after_everything_else(station: Station, mes: Subscriber) -> None:
    for seq in range(1, 41):
        station.publish(seq)
    station.close()
    station.close()
    messages = listen_until(mes, says(AVAILABILITY, b"stopped"))
    assert seqs(messages) == list(range(1, 41))
    assert (AVAILABILITY, b"offline") not in heard(messages)
    assert mes.receive(0.3) is None
    assert not station.publisher.connected


def test_a_stop_without_a_broker_does_not_wait(broker: Broker, opened: ExitStack) -> None:
    broker.go_down()
    waiting = opened.enter_context(closing(Station(broker.address)))
    stopped = threading.Thread(target=waiting.close)
    stopped.start()
    stopped.join(10.0)
    assert not stopped.is_alive()


def test_a_broker_that_appears_later_is_found(broker: Broker, opened: ExitStack) -> None:
    broker.go_down()
    early = opened.enter_context(closing(Station(broker.address)))
    assert eventually(lambda: "reached" in (early.publisher.problem or ""))
    assert early.publisher.connections == 0
    assert not early.publisher.connected
    broker.come_up()
    early.connect()
    early.publish(1)
    assert early.answered(1) == [1]


def test_a_subscription_without_a_broker_is_refused_with_the_reason(broker: Broker) -> None:
    broker.go_down()
    with pytest.raises(BrokerError, match=r"reached|down"):
        open_subscriber(broker.address, "inspection/#")


def test_two_clients_with_the_same_id_say_so_and_do_not_chase_each_other(
    broker: Broker, station: Station, opened: ExitStack
) -> None:
    rival = opened.enter_context(closing(Station(broker.address)))
    publishers = (station.publisher, rival.publisher)
    assert eventually(
        lambda: any("same client id" in (publisher.problem or "") for publisher in publishers)
    )
    assert sum(publisher.connections for publisher in publishers) < 20


def test_verdicts_may_come_from_many_threads(station: Station) -> None:
    lanes = [
        threading.Thread(
            target=lambda first=first: [station.publish(seq) for seq in range(first, 201, 4)]
        )
        for first in range(1, 5)
    ]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert sorted(station.answered(200)) == list(range(1, 201))


def test_a_verdict_is_not_taken_a_second_time_while_it_waits(
    broker: Broker, station: Station
) -> None:
    broker.stop_answering()
    station.publish(1)
    with pytest.raises(ValueError, match=r"message 1 on .*/verdict was handed over twice"):
        station.publisher.publish(1, VERDICT, b"{}")
    broker.answer_again()


def test_what_is_said_on_a_topic_is_heard_at_every_connection_and_the_retained_is_not(
    broker: Broker, opened: ExitStack
) -> None:
    heard: list[bytes] = []
    speaker = opened.enter_context(closing(Station(broker.address, client_id="speaker")))
    speaker.connect()
    speaker.publisher.set_state(COMMAND, b"retained")
    # Once a later message is answered, the state is at the broker, before anybody listens.
    speaker.publish(100)
    speaker.answered(1)
    listener = Station(
        broker.address, listen=(COMMAND, lambda message: heard.append(message.payload))
    )
    opened.enter_context(closing(listener))
    listener.connect()

    def says(number: int) -> bool:
        # The subscription comes after the connection, so that a first word may be missed.
        speaker.publish(number, COMMAND)
        return eventually(lambda: json.dumps({"seq": number}).encode() in heard, timeout_s=1)

    assert any(says(number) for number in range(1, 6))
    assert b"retained" not in heard
    broker.go_down()
    assert eventually(lambda: not listener.publisher.connected)
    broker.come_up()
    # The speaker says its state anew now. A listener that is back before it hears that as any other
    # word, so that nothing can be said here of what was retained.
    speaker.connect()
    listener.connect()
    assert any(says(number) for number in range(6, 11))


def test_a_topic_with_a_wildcard_is_refused(station: Station) -> None:
    with pytest.raises(ValueError, match="not a topic to publish on"):
        station.publisher.publish(1, "inspection/+/verdict", b"{}")


def test_a_publisher_starts_once(station: Station) -> None:
    with pytest.raises(RuntimeError, match="started before"):
        station.publisher.start(station.answers.append)
