"""What only a real broker can show: credentials, sizes, silence, and many connections."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from edge_runtime.errors import BrokerError
from edge_runtime.mes import connection as connection_module
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.base import Acknowledgement
from edge_runtime.mes.credentials import Credentials
from edge_runtime.mes.links import open_publisher, open_subscriber
from edge_runtime.mes.mqtt import MqttPublisher
from edge_runtime.mes.private_broker import PrivateBroker
from tests.patience import eventually, listen_until

VERDICT = "inspection/plant-1/L07/S3/verdict"
AVAILABILITY = "inspection/plant-1/L07/S3/availability"
HEALTH = "inspection/plant-1/L07/S3/health"


@contextmanager
def started(
    address: str, *, password: str | None = None
) -> Iterator[tuple[MqttPublisher, list[Acknowledgement]]]:
    credentials = Credentials(password=SecretStr(password) if password else None)
    publisher = open_publisher(
        address, client_id="s3", availability_topic=AVAILABILITY, credentials=credentials
    )
    assert isinstance(publisher, MqttPublisher)
    answers: list[Acknowledgement] = []
    publisher.start(answers.append)
    try:
        yield publisher, answers
    finally:
        publisher.stop(2.0)


@pytest.fixture
def guarded(
    mosquitto: Callable[..., PrivateBroker], tmp_path: Path
) -> tuple[PrivateBroker, Callable[[str], None]]:
    """A broker that knows user `station`, and a way to set its password."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("mosquitto_passwd is not on the PATH")
    passwords = tmp_path / "passwords"

    def set_password(password: str) -> None:
        subprocess.run([program, "-b", "-c", str(passwords), "station", password], check=True)

    set_password("old")
    config = f"user {getpass.getuser()}\nallow_anonymous false\npassword_file {passwords}"
    return mosquitto(extra_config=config), set_password


def test_wrong_credentials_are_named_and_work_once_they_are_corrected(
    guarded: tuple[PrivateBroker, Callable[[str], None]],
) -> None:
    broker, set_password = guarded
    address = broker.address.replace("mqtt://", "mqtt://station@")
    with started(address, password="right") as (publisher, answers):  # noqa: S106
        assert eventually(lambda: "EDGE_INSPECT_MQTT_PASSWORD" in (publisher.problem or "")), (
            publisher.problem
        )
        assert "Not authorized" in (publisher.problem or "")
        assert (publisher.connected, publisher.connections) == (False, 0)
        set_password("right")
        os.kill(broker.pid, signal.SIGHUP)
        assert eventually(lambda: publisher.connected)
        assert publisher.publish(1, VERDICT, b"{}")
        assert eventually(lambda: answers)


def test_a_subscription_with_wrong_credentials_is_refused(
    guarded: tuple[PrivateBroker, Callable[[str], None]],
) -> None:
    broker, _ = guarded
    with pytest.raises(BrokerError, match=r"Not authorized.*EDGE_INSPECT_MQTT_PASSWORD"):
        open_subscriber(broker.address, "inspection/#")


def test_a_message_the_broker_finds_too_large_is_refused_and_the_rest_goes_on(
    mosquitto: Callable[..., PrivateBroker],
) -> None:
    # Mosquitto's answer to it is one that paho cannot read: unless told apart, it would come back first
    # on every connection, for ever.
    broker = mosquitto(extra_config="message_size_limit 2000")
    with started(broker.address) as (publisher, answers):
        assert eventually(lambda: publisher.connected)
        for seq, size in ((1, 10), (2, 3000), (3, 10), (4, 10)):
            assert publisher.publish(seq, VERDICT, b"x" * size)
        assert eventually(lambda: len(answers) == 4)
        refusals = {answer.number: answer.refusal for answer in answers}
        assert [seq for seq, refusal in refusals.items() if refusal] == [2]
        assert "over this message" in (refusals[2] or "")
        assert eventually(lambda: publisher.connected)
        assert publisher.publish(5, VERDICT, b"x")
        assert eventually(lambda: len(answers) == 5)


def test_a_message_beyond_the_announced_maximum_is_not_even_sent(
    mosquitto: Callable[..., PrivateBroker],
) -> None:
    broker = mosquitto(extra_config="max_packet_size 2000")
    with started(broker.address) as (publisher, answers):
        assert eventually(lambda: publisher.connected)
        assert publisher.publish(1, VERDICT, b"x" * 3000)
        assert publisher.publish(2, VERDICT, b"x")
        assert eventually(lambda: len(answers) == 2)
        assert publisher.connections == 1
    refusals = {answer.number: answer.refusal or "" for answer in answers}
    assert "3000" not in refusals[2]
    assert "the broker takes at most 2000" in refusals[1]


def test_a_station_with_a_broker_that_allows_one_message_at_a_time_delivers_all(
    mosquitto: Callable[..., PrivateBroker],
) -> None:
    broker = mosquitto(extra_config="max_inflight_messages 1")
    with started(broker.address) as (publisher, answers):
        publisher.set_state(HEALTH, b"fine")
        assert eventually(lambda: publisher.connected)
        for seq in range(1, 101):
            assert publisher.publish(seq, VERDICT, b"{}")
        assert eventually(lambda: len(answers) == 100)
        assert publisher.connections == 1


@pytest.fixture
def mute() -> Iterator[int]:
    """A port that accepts connections and never says a word."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.create_server(("127.0.0.1", 0)))

        def accept() -> None:
            while True:
                try:
                    sockets.enter_context(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_port_that_accepts_and_says_nothing_is_left_again(
    mute: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "CONNECT_TIMEOUT_S", 0.3)
    with started(f"mqtt://127.0.0.1:{mute}") as (publisher, _):
        assert eventually(lambda: "not answered CONNECT" in (publisher.problem or ""))
        assert not publisher.connected


def test_a_broker_that_stands_still_is_said_to_before_it_is_left(
    broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert connection_module._QUIET_S < 10.0 < connection_module._ANSWER_TIMEOUT_S
    monkeypatch.setattr(connection_module, "_QUIET_S", 0.3)
    with started(broker.address) as (publisher, answers):
        assert eventually(lambda: publisher.connected)
        os.kill(broker.pid, signal.SIGSTOP)
        publisher.publish(1, VERDICT, b"{}")
        try:
            assert eventually(lambda: publisher.problem is not None)
            assert "acknowledges nothing at present" in str(publisher.problem)
            assert publisher.connected, "it may only be slow"
        finally:
            os.kill(broker.pid, signal.SIGCONT)
        assert eventually(lambda: answers)
        assert eventually(lambda: publisher.problem is None)
        assert publisher.connections == 1


def test_a_broker_that_acknowledges_nothing_is_left_and_the_verdicts_sent_again(
    broker: PrivateBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "_ANSWER_TIMEOUT_S", 0.5)
    with started(broker.address) as (publisher, answers):
        assert eventually(lambda: publisher.connected)
        os.kill(broker.pid, signal.SIGSTOP)
        assert publisher.publish(1, VERDICT, b"{}")
        assert eventually(lambda: "acknowledged nothing" in (publisher.problem or ""))
        os.kill(broker.pid, signal.SIGCONT)
        assert eventually(lambda: len(answers) == 1)
        assert publisher.connections == 2


def test_a_stop_that_cannot_say_stopped_in_time_leaves_the_will_to_the_broker(
    broker: PrivateBroker,
) -> None:
    with closing(open_subscriber(broker.address, "inspection/#")) as mes:
        with started(broker.address) as (publisher, _):
            assert eventually(lambda: publisher.connected)
            listen_until(mes, bool)
            os.kill(broker.pid, signal.SIGSTOP)
            assert publisher.publish(1, VERDICT, b"{}")
            publisher.stop(0.2)
        assert eventually(lambda: not publisher.connected)
        os.kill(broker.pid, signal.SIGCONT)
        messages = listen_until(
            mes, lambda messages: bool(messages) and messages[-1].payload == b"offline"
        )
    assert messages[-1].payload == b"offline"


def test_a_host_that_does_not_exist_is_reported_in_words() -> None:
    with started("mqtt://broker.invalid") as (publisher, _):
        assert eventually(lambda: "cannot be reached" in (publisher.problem or ""))
    with pytest.raises(BrokerError, match=r"mqtt://broker\.invalid:1883 cannot be reached"):
        open_subscriber("mqtt://broker.invalid", "inspection/#")


def test_no_text_about_a_publisher_contains_its_password() -> None:
    publisher = MqttPublisher(
        MqttAddress(host="127.0.0.1", port=1, user="station"),
        client_id="s3",
        availability_topic=AVAILABILITY,
        credentials=Credentials(password=SecretStr("geheim")),
    )
    assert "geheim" not in repr(publisher)
    assert "geheim" not in (publisher.problem or "")


def test_a_defect_in_the_listener_does_not_end_delivery(broker: PrivateBroker) -> None:
    answers: list[Acknowledgement] = []

    def listener(answer: Acknowledgement) -> None:
        answers.append(answer)
        if answer.number == 1:
            raise ZeroDivisionError

    publisher = open_publisher(broker.address, client_id="s3", availability_topic=AVAILABILITY)
    publisher.start(listener)
    try:
        assert eventually(lambda: publisher.connected)
        assert publisher.publish(1, VERDICT, b"{}")
        assert eventually(lambda: publisher.connections == 2)
        assert publisher.publish(2, VERDICT, b"{}")
        assert eventually(lambda: len(answers) == 2)
    finally:
        publisher.stop(2.0)
