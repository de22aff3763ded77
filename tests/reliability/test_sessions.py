"""Sessions with the broker end in every way; what is announced is true, and no verdict is missing.

The publisher's own part of this stands in `tests/conformance/test_publishers.py` and
`tests/edge_runtime/mes/test_mqtt.py`, silences and late answers in `test_network.py`. Here it is the
whole daemon, and a consumer that stays connected meanwhile.
"""

import getpass
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge_runtime.mes.private_broker import PrivateBroker
from tests.reliability.consumer import Consumer, State
from tests.reliability.daemon import Station, broken_program
from tests.reliability.proxy import Fault, Proxy
from tests.reliability.reckoning import Reckoning, reckon

CLIENT_ID = "edge-inspect-plant-1-L07-S3"

pytestmark = pytest.mark.slow


@pytest.fixture
def consumer(broker: PrivateBroker) -> Iterator[Consumer]:
    with Consumer(broker.port) as consumer:
        yield consumer


def settled(station: Station, consumer: Consumer) -> Reckoning:
    """What there is once a stopped station's last word has come."""
    assert consumer.wait(lambda consumer: consumer.availability() == "stopped")
    return reckon(station.state_dir, consumer)


def announcements(states: list[State]) -> list[list[State]]:
    """What was said from each end of a session up to the next `online`."""
    found: list[list[State]] = [[]]
    for state in states:
        if state.of == "availability" and state.payload != b"online":
            found[-1].clear()
            continue
        found[-1].append(state)
        if state.payload == b"online":
            found.append([])
    return found[:-1]


def reset_again_and_again(
    station: Station, broker: PrivateBroker, consumer: Consumer, *, times: int
) -> list[list[State]]:
    """The announcements of a station whose connection is reset so often while parts flow."""
    with Proxy(broker.port) as proxy, replace(station, broker=proxy.address).start() as daemon:
        for _ in range(times):
            assert consumer.wait_for_more(30), daemon.words()
            proxy.inflict(Fault.RESET)
            assert consumer.wait(lambda consumer: consumer.availability() == "offline")
            proxy.heal()
            assert consumer.wait(lambda consumer: consumer.availability() == "online")
        assert consumer.wait_for_more(30), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    assert settled(station, consumer).faults == ()
    return announcements(consumer.states)


def in_order(said: list[State]) -> bool:
    """The states first, `online` last, and no verdict before it."""
    return (
        said[-1].of == "availability"
        and "health" in {state.of for state in said}
        and len({state.after for state in said[-2:]}) == 1
    )


def test_every_reconnection_announces_the_states_then_online_and_then_verdicts(
    station: Callable[..., Station], broker: PrivateBroker, consumer: Consumer
) -> None:
    sessions = reset_again_and_again(station(), broker, consumer, times=3)
    assert len(sessions) == 4
    assert all(in_order(said) for said in sessions), sessions
    assert consumer.health()["connections"] == 4


def test_control_a_station_that_says_online_first_is_caught(
    station: Callable[..., Station], broker: PrivateBroker, consumer: Consumer
) -> None:
    hasty = station(program=broken_program("say-online-first"))
    sessions = reset_again_and_again(hasty, broker, consumer, times=1)
    assert not all(in_order(said) for said in sessions), sessions


def test_a_broker_restarted_in_order_again_and_again_misses_nothing(
    station: Callable[..., Station], broker: PrivateBroker, consumer: Consumer
) -> None:
    with station().start() as daemon:
        for _ in range(3):
            assert consumer.wait_for_more(30), daemon.words()
            broker.kill(signal.SIGTERM)
            assert daemon.says("cannot be reached"), daemon.words()
            broker.start()
        assert consumer.wait_for_more(30), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    assert settled(station(), consumer).faults == ()


@contextmanager
def rival(port: int) -> Iterator[paho.Client]:
    """Somebody else who was given the station's client id, and insists."""
    client = paho.Client(
        CallbackAPIVersion.VERSION2, client_id=CLIENT_ID, protocol=MQTTProtocolVersion.MQTTv5
    )
    client.reconnect_delay_set(min_delay=0.1, max_delay=0.1)
    client.connect("127.0.0.1", port, clean_start=False)
    client.loop_start()
    try:
        yield client
    finally:
        client.disconnect()
        client.loop_stop()


def test_another_client_with_the_same_id_is_named_and_costs_no_verdict(
    station: Callable[..., Station], broker: PrivateBroker, consumer: Consumer
) -> None:
    with station().start() as daemon:
        assert consumer.wait_for_more(30), daemon.words()
        with rival(broker.port):
            assert daemon.says("same client id in use twice?"), daemon.words()
        known = consumer.last_seq
        assert consumer.wait(lambda consumer: consumer.last_seq > known + 200, 30.0), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    assert settled(station(), consumer).faults == ()
    assert consumer.health()["connections"] < 30, "the two do not chase each other"


@pytest.fixture
def guarded(mosquitto: Callable[..., PrivateBroker], tmp_path: Path) -> PrivateBroker:
    """A broker that knows users `station` and `mes`, and nobody else."""
    if shutil.which("mosquitto_passwd") is None:
        pytest.skip("mosquitto_passwd is not on the PATH")
    set_password(tmp_path, "another")
    return mosquitto(
        extra_config=(
            f"user {getpass.getuser()}\nallow_anonymous false\npassword_file {tmp_path / 'passwords'}"
        )
    )


def set_password(folder: Path, password: str) -> None:
    """Let user `station` in with this password."""
    file = str(folder / "passwords")
    subprocess.run(["mosquitto_passwd", "-b", "-c", file, "station", password], check=True)
    subprocess.run(["mosquitto_passwd", "-b", file, "mes", "mes"], check=True)


def test_wrong_credentials_are_named_and_once_corrected_everything_arrives(
    station: Callable[..., Station], guarded: PrivateBroker, tmp_path: Path
) -> None:
    refused = station(
        broker=guarded.address.replace("mqtt://", "mqtt://station@"),
        environment={"EDGE_INSPECT_MQTT_PASSWORD": "right-one"},
    )
    with (
        Consumer(guarded.port, user=("mes", "mes")) as consumer,
        refused.start() as daemon,
    ):
        assert daemon.says("Not authorized"), daemon.words()
        assert "EDGE_INSPECT_MQTT_PASSWORD" in daemon.words()
        assert consumer.states == [], "a refused connection is not a connection"
        set_password(tmp_path, "right-one")
        os.kill(guarded.pid, signal.SIGHUP)
        assert consumer.wait_for_more(100, timeout_s=40.0), daemon.words()
        assert daemon.stop() == 0, daemon.words()
        assert settled(refused, consumer).faults == ()
        assert consumer.health()["connections"] == 1
        assert "right-one" not in daemon.words()
