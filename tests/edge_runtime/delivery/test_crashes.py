"""Station and broker are killed while verdicts flow; the MES has every number all the same."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from edge_runtime.contracts.station_id import StationId
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.journal.journal import Journal
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_publisher, open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.mes.topics import Topics
from tests.patience import eventually, listen_until
from tests.sample_verdicts import entries

TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))
VERDICT = TOPICS.verdict
AVAILABILITY = "inspection/plant-1/L07/S3/availability"
PROGRAM = Path(__file__).with_name("station_process.py")


@pytest.fixture
def broker(mosquitto: Callable[..., PrivateBroker]) -> PrivateBroker:
    """Writes down all it knows at every change, so that killing it loses nothing acknowledged."""
    return mosquitto(
        persistence=True, extra_config="autosave_on_changes true\nmax_inflight_messages 0"
    )


@pytest.fixture
def mes(broker: PrivateBroker) -> Iterator[Subscriber]:
    with closing(open_subscriber(broker.address, "inspection/#")) as subscriber:
        yield subscriber


@contextmanager
def station_process(
    folder: Path, broker: PrivateBroker, count: int, *mistake: str
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(PROGRAM), str(folder), broker.address, str(count), *mistake]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def committed_beyond(process: subprocess.Popen[str], seq: int) -> int:
    """Read on until the station has committed more than `seq` verdicts."""
    assert process.stdout is not None
    while (last := int(process.stdout.readline())) <= seq:
        pass
    return last


def seqs(messages: list[Message]) -> list[int]:
    return [json.loads(m.payload)["seq"] for m in messages if m.topic == VERDICT]


def stopped(messages: list[Message]) -> bool:
    return any((m.topic, m.payload) == (AVAILABILITY, b"stopped") for m in messages)


def kill_repeatedly(
    folder: Path, broker: PrivateBroker, mes: Subscriber, *mistake: str, kills: int
) -> tuple[int, set[int]]:
    """Kill the station again and again, then let it finish: verdicts committed, and those received."""
    last = 0
    for _ in range(kills):
        with station_process(folder, broker, 1_000_000, *mistake) as process:
            last = committed_beyond(process, last + 40)
            # With the broker standing still, verdicts are on their way when the station dies.
            os.kill(broker.pid, signal.SIGSTOP)
            last = committed_beyond(process, last + 60)
            process.kill()
            process.wait()
            os.kill(broker.pid, signal.SIGCONT)
    with closing(Journal(folder)) as journal:
        total = journal.next_seq - 1 + 20
    with station_process(folder, broker, total, *mistake) as process:
        messages = listen_until(mes, stopped, 30.0)
        assert stopped(messages)
        assert process.wait(10) == 0
    with closing(Journal(folder)) as journal:
        return journal.next_seq - 1, set(seqs(messages))


def test_a_station_killed_five_times_loses_no_verdict(
    tmp_path: Path, broker: PrivateBroker, mes: Subscriber
) -> None:
    committed, received = kill_repeatedly(tmp_path, broker, mes, kills=5)
    assert received == set(range(1, committed + 1))


def test_control_a_journal_that_clears_on_send_loses_verdicts(
    tmp_path: Path, broker: PrivateBroker, mes: Subscriber
) -> None:
    committed, received = kill_repeatedly(tmp_path, broker, mes, "clear-on-send", kills=1)
    assert received < set(range(1, committed + 1))


def test_a_killed_station_is_reported_offline_by_its_will(
    tmp_path: Path, broker: PrivateBroker, mes: Subscriber
) -> None:
    with station_process(tmp_path, broker, 1_000_000) as process:
        committed_beyond(process, 20)
        assert listen_until(mes, lambda messages: bool(seqs(messages)))
        process.kill()
        said = listen_until(
            mes, lambda messages: bool(messages) and messages[-1].topic == AVAILABILITY
        )
    assert said[-1].payload == b"offline"


def test_a_broker_killed_while_verdicts_flow_loses_none_that_it_had_not_acknowledged(
    tmp_path: Path, broker: PrivateBroker, mes: Subscriber
) -> None:
    # A PUBACK is not durability: what mosquitto acknowledged and had not passed on dies with it.
    acknowledged: set[int] = set()
    with ExitStack() as resources:
        journal = resources.enter_context(closing(Journal(tmp_path)))
        publisher = open_publisher(
            broker.address, client_id="edge-inspect-plant-1-L07-S3", availability_topic=AVAILABILITY
        )
        delivery = Delivery(
            journal, publisher, TOPICS, on_acknowledged=lambda seq, _now: acknowledged.add(seq)
        )
        delivery.start()
        resources.callback(delivery.stop)
        resources.callback(publisher.stop, 5.0)
        before_the_kill: set[int] = set()
        for first in range(1, 501, 4):
            journal.append(entries(first, 4))
            delivery.notify()
            if first == 201:
                assert eventually(lambda: len(acknowledged) > 100)
                broker.kill()
                assert eventually(lambda: not publisher.connected)
                before_the_kill = set(acknowledged)
                broker.start()
        assert delivery.drain(30.0)
        assert publisher.connections == 2
    owed = set(range(1, 501)) - before_the_kill
    assert len(owed) >= 296, "verdicts that the dead broker never saw"
    messages = listen_until(mes, lambda messages: owed <= set(seqs(messages)))
    assert owed <= set(seqs(messages))
