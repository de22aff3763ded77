"""A consumer gets every verdict exactly once, over a real mosquitto and in memory alike."""

import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_runtime.consumer.consumer import Consumer
from edge_runtime.consumer.recovery import Patience
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.verdict import Lane, VerdictMessage
from edge_runtime.errors import BrokerError, StateError
from edge_runtime.mes.private_broker import PrivateBroker
from tests.scripted_station import TOPICS, ScriptedStation

IMPATIENT = Patience(grace_s=0.2, backlog_s=0.6, answer_s=2.0, longest_s=2.0)


@pytest.fixture(params=["mosquitto", "memory"])
def address(request: pytest.FixtureRequest, mosquitto: Callable[..., PrivateBroker]) -> str:
    return mosquitto().address if request.param == "mosquitto" else f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def station(address: str) -> Iterator[ScriptedStation]:
    with ScriptedStation(address) as station:
        yield station


def consume(address: str, **options: object) -> Consumer:
    settings: dict[str, object] = {"site": "plant-1", "patience": IMPATIENT, **options}
    return Consumer(address, **settings)  # type: ignore[arg-type] # options of the test's own making


def received(consumer: Consumer, count: int, timeout_s: float = 10.0) -> list[VerdictMessage]:
    """So many verdicts, or what came within the time."""
    verdicts: list[VerdictMessage] = []
    deadline = time.monotonic() + timeout_s
    while len(verdicts) < count and time.monotonic() < deadline:
        verdict = consumer.receive(0.05)
        if verdict is not None:
            verdicts.append(verdict)
    return verdicts


def seqs(verdicts: list[VerdictMessage]) -> list[int]:
    return [verdict.seq for verdict in verdicts]


def test_verdicts_come_once_in_order_of_arrival_with_their_lane(
    address: str, station: ScriptedStation
) -> None:
    with consume(address, station="L07-S3") as consumer:
        station.commit(1, 6)
        station.send(4)
        station.send(1, lane=Lane.BACKLOG)
        station.send(5)
        station.send(2, 2, 3, lane=Lane.BACKLOG)
        station.send(6, 6)
        verdicts = received(consumer, 6)
        assert consumer.receive(0.3) is None
        feed = consumer.stations["L07-S3"]
    assert seqs(verdicts) == [4, 1, 5, 2, 3, 6]
    assert [verdict.delivery.lane.value[0] for verdict in verdicts] == list("lblbbl")
    assert (feed.sequence.received, feed.sequence.duplicates) == (6, 2)
    assert not list(feed.sequence.missing)


def test_a_gap_is_asked_for_and_filled(address: str, station: ScriptedStation) -> None:
    remarks: list[str] = []
    with consume(address, line="L07", on_remark=remarks.append) as consumer:
        station.commit(1, 8)
        station.send(1, 2, 7, 8)
        assert seqs(received(consumer, 4)) == [1, 2, 7, 8]
        assert consumer.receive(0.6) is None
        station.answer(station.hear_request())
        verdicts = received(consumer, 4)
        assert (seqs(verdicts), {verdict.delivery.lane for verdict in verdicts}) == (
            [3, 4, 5, 6],
            {Lane.REPLAY},
        )
        assert consumer.receive(0.6) is None
    assert remarks == ["L07-S3 is asked for verdicts 3 to 6 again"]
    assert [(r.from_seq, r.to_seq) for r in station.requests] == [(3, 6)]


def test_what_a_station_no_longer_has_is_counted_as_lost_and_said(
    address: str, station: ScriptedStation
) -> None:
    remarks: list[str] = []
    with consume(address, on_remark=remarks.append) as consumer:
        station.commit(1, 9)
        station.send(1, 9)
        received(consumer, 2)
        for pruned in (2, 3, 4):
            del station.bodies[pruned]
        assert consumer.receive(0.6) is None
        station.answer(station.hear_request(), refusal="the journal holds 5 to 9")
        assert seqs(received(consumer, 4)) == [5, 6, 7, 8]
        assert consumer.receive(0.3) is None
        assert consumer.stations["L07-S3"].sequence.lost == 3
    assert remarks[-1] == "L07-S3 3 verdicts are lost: the station no longer has them"


def test_a_wanted_beginning_is_asked_for_though_the_station_says_nothing_new(
    address: str, station: ScriptedStation
) -> None:
    with consume(address, station="L07-S3", from_seq=3) as consumer:
        station.commit(1, 5)
        head = JournalHead(
            site="plant-1",
            line="L07",
            station="S3",
            at="2026-01-15T08:30:00Z",  # type: ignore[arg-type] # as JSON has it
            first_seq=1,
            last_seq=5,
            sha256="0" * 64,
        )
        station.say(TOPICS.journal, head.to_json().encode())
        assert consumer.receive(1.0) is None
        station.answer(station.hear_request())
        assert seqs(received(consumer, 3)) == [3, 4, 5]


def test_a_consumer_goes_on_where_it_was(
    address: str, station: ScriptedStation, tmp_path: Path
) -> None:
    state = tmp_path / "consumer.json"
    station.commit(1, 9)
    with consume(address, state_file=state) as first:
        station.send(1, 2, 4)
        assert seqs(received(first, 3)) == [1, 2, 4]
    station.send(5, 6)
    station.wait_until_sent(6)
    with consume(address, state_file=state) as second:
        station.send(4, 7)
        assert seqs(received(second, 1)) == [7]
        assert second.receive(0.6) is None
        station.answer(station.hear_request())
        assert seqs(received(second, 3)) == [3, 5, 6]
        assert second.receive(0.3) is None


def test_a_state_file_that_is_none_is_refused(address: str, tmp_path: Path) -> None:
    state = tmp_path / "consumer.json"
    state.write_text('{"schema": "edge-inspect/bookmark/1", "stations": {"a": 7}}')
    with pytest.raises(StateError, match="move it away to begin anew"):
        consume(address, state_file=state)


def test_a_state_file_that_cannot_be_written_is_said(
    address: str, station: ScriptedStation, tmp_path: Path
) -> None:
    consumer = consume(address, state_file=tmp_path / "nowhere" / "state")
    station.commit(1, 1)
    station.send(1)
    with pytest.raises(StateError, match="cannot write the consumer's state"):
        received(consumer, 2, timeout_s=3.0)
    with pytest.raises(StateError):
        consumer.close()


def test_a_broker_out_of_reach_is_one_line(address: str) -> None:
    with pytest.raises(BrokerError, match="cannot be reached"):
        consume("mqtt://127.0.0.1:1")


def test_either_a_station_or_a_line(address: str) -> None:
    with pytest.raises(ValueError, match="not both"):
        consume(address, station="L07-S3", line="L07")


def test_stop_ends_the_iteration(address: str, station: ScriptedStation) -> None:
    station.commit(1, 3)
    with consume(address) as consumer:
        station.send(1, 2, 3)
        came = []
        for verdict in consumer:
            came.append(verdict.seq)
            if verdict.seq == 2:
                consumer.stop()
    assert came == [1, 2]


def test_a_broker_that_restarts_costs_nothing(mosquitto: Callable[..., PrivateBroker]) -> None:
    broker = mosquitto(persistence=True, extra_config="autosave_on_changes true")
    with consume(broker.address) as consumer:
        with ScriptedStation(broker.address) as station:
            station.commit(1, 4)
            station.send(1, 2)
            assert seqs(received(consumer, 2)) == [1, 2]
        broker.kill()
        deadline = time.monotonic() + 10
        while consumer.problem is None and time.monotonic() < deadline:
            consumer.receive(0.1)
        assert "lost the connection" in (consumer.problem or "")
        broker.start()
        # How much of a session mosquitto has written down when it is killed is its own affair.
        while consumer.problem is not None and time.monotonic() < deadline + 10:
            consumer.receive(0.1)
        with ScriptedStation(broker.address) as station:
            station.commit(3, 4)
            station.send(3, 4)
            assert seqs(received(consumer, 2)) == [3, 4]


KILLED = """
import os, sys
from edge_runtime.consumer.consumer import Consumer
consumer = Consumer(sys.argv[1], site="plant-1", client_id="mes-1")
print("ready", flush=True)
for verdict in consumer:
    if verdict.seq == 3:
        if "acknowledge-first" in sys.argv:
            consumer._subscriber.acknowledge()
            consumer.receive(0.5)
        os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize(("mistake", "comes_again"), [((), True), (("acknowledge-first",), False)])
def test_a_killed_consumer_gets_from_the_broker_what_it_had_not_dealt_with(
    mosquitto: Callable[..., PrivateBroker], mistake: tuple[str, ...], comes_again: bool
) -> None:
    # The second case is the control: who acknowledges before dealing with it loses a verdict.
    address = mosquitto().address
    command = [sys.executable, "-c", KILLED, address, *mistake]
    with (
        ScriptedStation(address) as station,
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        station.commit(1, 5)
        station.send(1, 2, 3)
        process.wait(20)
        station.send(4, 5)
        with consume(address, client_id="mes-1") as again:
            came = seqs(received(again, 5, 3.0))
    assert came[-2:] == [4, 5]
    assert (3 in came) == comes_again
