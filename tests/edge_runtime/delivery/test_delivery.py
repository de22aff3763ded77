"""From the journal to the broker: everything, in order, once per run, with the time it took."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edge_runtime.contracts.replay import ReplayAnswer
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Lane, VerdictMessage, committed
from edge_runtime.delivery.delivery import Delivery
from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.memory import MemoryBroker, MemoryPublisher, MemorySubscriber
from edge_runtime.mes.topics import Topics
from edge_runtime.mes.window import Outgoing
from tests.patience import eventually, listen_until
from tests.received import verdicts
from tests.sample_verdicts import entries

TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))
TOPIC = TOPICS.verdict


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker.named(uuid.uuid4().hex)


@pytest.fixture
def mes(broker: MemoryBroker) -> Iterator[MemorySubscriber]:
    with closing(MemorySubscriber(broker, TOPIC)) as subscriber:
        yield subscriber


class Line:
    """An journal, a publisher and the delivery between them."""

    def __init__(
        self,
        folder: Path,
        broker: MemoryBroker,
        *,
        backlog_rate: float = 1e6,
        replay: bool = False,
    ) -> None:
        self.journal = Journal(folder)
        self.publisher = MemoryPublisher(
            broker, client_id="s3", availability_topic="a/availability"
        )
        self.timed: dict[int, float] = {}
        self.delivery = Delivery(
            self.journal,
            self.publisher,
            TOPICS,
            backlog_rate=backlog_rate,
            replay=replay,
            on_acknowledged=self.timed.__setitem__,
        )

    def commit(self, count: int) -> None:
        self.journal.append(entries(self.journal.next_seq, count))
        self.delivery.notify()

    def close(self) -> None:
        self.publisher.stop(2.0)
        self.delivery.stop()
        self.journal.close()


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as resources:
        yield resources


@pytest.fixture
def line(tmp_path: Path, broker: MemoryBroker, opened: ExitStack) -> Line:
    line = opened.enter_context(closing(Line(tmp_path, broker)))
    line.delivery.start()
    return line


def receive(mes: MemorySubscriber, count: int) -> list[VerdictMessage]:
    return verdicts(listen_until(mes, lambda messages: len(messages) >= count))


def test_committed_verdicts_arrive_in_order_and_leave_the_journal(
    line: Line, mes: MemorySubscriber
) -> None:
    for _ in range(20):
        line.commit(5)
    assert line.delivery.drain(10.0)
    assert [verdict.seq for verdict in receive(mes, 100)] == list(range(1, 101))
    assert line.delivery.acknowledged == 100
    assert line.journal.pending_count == 0
    assert eventually(lambda: not unsettled(line.journal))


def test_the_payload_is_the_committed_verdict_to_the_byte_with_its_delivery_note(
    line: Line, mes: MemorySubscriber
) -> None:
    (entry,) = entries(1, 1, decided_at=datetime.now(UTC) + timedelta(days=300))
    line.delivery.time_verdicts({1: time.monotonic() - 0.75})
    line.journal.append([entry])
    line.delivery.notify()
    (sent,) = listen_until(mes, lambda messages: len(messages) >= 1)
    assert committed(sent.payload) == entry.body
    assert VerdictMessage.model_validate_json(sent.payload).delivery.waited_ms >= 0


def test_a_verdict_of_this_run_is_timed_by_the_monotonic_clock(
    line: Line, broker: MemoryBroker, mes: MemorySubscriber
) -> None:
    assert eventually(lambda: line.publisher.connected)
    broker.set_up(False)
    assert eventually(lambda: not line.publisher.connected)
    line.delivery.time_verdicts({1: time.monotonic() - 0.75})
    line.journal.append(entries(1, 1, decided_at=datetime.now(UTC) - timedelta(days=300)))
    line.delivery.notify()
    broker.set_up(True)
    (verdict,) = receive(mes, 1)
    assert 750 <= verdict.delivery.waited_ms < 60_000


def test_a_verdict_of_an_earlier_run_is_timed_by_the_wall_clock(
    tmp_path: Path, broker: MemoryBroker, mes: MemorySubscriber, opened: ExitStack
) -> None:
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    in_an_hour = datetime.now(UTC) + timedelta(hours=1)
    with closing(Journal(tmp_path)) as box:
        box.append([*entries(1, 1, decided_at=an_hour_ago), *entries(2, 1, decided_at=in_an_hour)])
    line = opened.enter_context(closing(Line(tmp_path, broker)))
    line.delivery.start()
    late, early = receive(mes, 2)
    assert 3_600_000 <= late.delivery.waited_ms < 3_700_000
    assert early.delivery.waited_ms == 0.0


def test_verdicts_wait_out_an_outage(
    line: Line, broker: MemoryBroker, mes: MemorySubscriber
) -> None:
    line.commit(3)
    assert line.delivery.drain(10.0)
    broker.set_up(False)
    line.commit(600)
    assert not line.delivery.drain(0.2)
    assert line.journal.pending_count == 600
    broker.set_up(True)
    assert line.delivery.drain(20.0)
    arrived = receive(mes, 603)
    assert sorted({verdict.seq for verdict in arrived}) == list(range(1, 604))


def test_what_an_earlier_run_left_unanswered_is_sent_again(
    tmp_path: Path, broker: MemoryBroker, mes: MemorySubscriber, opened: ExitStack
) -> None:
    broker.hold_answers(True)
    with closing(Line(tmp_path, broker)) as first:
        first.delivery.start()
        first.commit(5)
        receive(mes, 5)
        first.publisher.stop(0.1)
    broker.hold_answers(False)
    second = opened.enter_context(closing(Line(tmp_path, broker)))
    second.delivery.start()
    assert second.delivery.drain(10.0)
    assert [verdict.seq for verdict in receive(mes, 5)] == [1, 2, 3, 4, 5]


def test_a_refused_verdict_is_kept_and_does_not_hold_up_the_others(
    line: Line, broker: MemoryBroker, mes: MemorySubscriber
) -> None:
    broker.refuse_messages(
        lambda topic, body: "odd" if topic == TOPIC and json.loads(body)["seq"] == 2 else None
    )
    line.commit(3)
    assert line.delivery.drain(10.0)
    assert [verdict.seq for verdict in receive(mes, 2)] == [1, 3]
    assert (line.delivery.acknowledged, line.delivery.refused) == (2, 1)
    assert line.journal.refused_count == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"seq":1}', b"\xff", b"7"])
def test_an_unreadable_body_is_set_aside(line: Line, mes: MemorySubscriber, body: bytes) -> None:
    line.journal.append([Entry(seq=1, body=body), *entries(2, 1)])
    line.delivery.notify()
    assert line.delivery.drain(10.0)
    assert [verdict.seq for verdict in receive(mes, 1)] == [2]
    assert line.journal.refused_count == 1


def test_each_acknowledgement_is_told_with_its_time(line: Line) -> None:
    before = time.monotonic()
    line.commit(10)
    assert line.delivery.drain(10.0)
    assert sorted(line.timed) == list(range(1, 11))
    assert all(before <= moment <= time.monotonic() for moment in line.timed.values())


def test_a_disk_that_cannot_be_read_is_reported_and_tried_again(
    line: Line, mes: MemorySubscriber, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = Journal.unanswered

    def broken(_box: Journal, _after: int, _limit: int, **_: int) -> tuple[Entry, ...]:
        raise StateError("journal.sqlite: cannot read: disk I/O error")

    monkeypatch.setattr(Journal, "unanswered", broken)
    line.commit(2)
    assert eventually(lambda: "cannot read" in (line.delivery.problem or ""))
    monkeypatch.setattr(Journal, "unanswered", healthy)
    assert line.delivery.drain(10.0)
    assert [verdict.seq for verdict in receive(mes, 2)] == [1, 2]
    assert line.delivery.problem is None


def test_a_disk_that_takes_no_acknowledgements_is_reported(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_box: Journal) -> None:
        raise StateError("journal.sqlite: cannot write: the disk is full")

    monkeypatch.setattr(Journal, "flush", broken)
    line.commit(2)
    assert line.delivery.drain(10.0)
    assert eventually(lambda: "disk is full" in (line.delivery.problem or ""))
    monkeypatch.undo()
    assert eventually(lambda: line.delivery.problem is None)


def test_draining_nothing_is_done_at_once(line: Line) -> None:
    assert line.delivery.drain(0.0)


def test_what_an_outage_left_behind_does_not_go_before_what_is_decided_now(
    tmp_path: Path, broker: MemoryBroker, mes: MemorySubscriber, opened: ExitStack
) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append(entries(1, 1000))
    line = opened.enter_context(closing(Line(tmp_path, broker, backlog_rate=100)))
    line.delivery.start()
    assert listen_until(mes, lambda messages: len(messages) >= 5)
    line.commit(3)
    arrived = receive(mes, 3)
    while {1001, 1002, 1003} - {verdict.seq for verdict in arrived}:
        arrived += receive(mes, 1)
    lanes = {verdict.seq: verdict.delivery.lane for verdict in arrived}
    assert [lanes[seq] for seq in (1001, 1002, 1003)] == [Lane.LIVE] * 3
    backlog = [seq for seq, lane in lanes.items() if lane is Lane.BACKLOG]
    assert len(backlog) < 100, "the live ones came long before the backlog was through"
    assert backlog == sorted(backlog)


def test_the_backlog_keeps_to_its_rate(
    tmp_path: Path, broker: MemoryBroker, mes: MemorySubscriber, opened: ExitStack
) -> None:
    with closing(Journal(tmp_path)) as journal:
        journal.append(entries(1, 400))
    line = opened.enter_context(closing(Line(tmp_path, broker, backlog_rate=200)))
    began = time.monotonic()
    line.delivery.start()
    assert line.delivery.drain(30.0)
    # A tenth of a second's worth may go at once.
    assert time.monotonic() - began >= (400 - 20) / 200 * 0.95
    assert [verdict.seq for verdict in receive(mes, 400)] == list(range(1, 401))


def test_a_verdict_in_flight_when_the_connection_breaks_is_not_taken_up_twice(
    line: Line, broker: MemoryBroker, mes: MemorySubscriber
) -> None:
    assert eventually(lambda: line.publisher.connected)
    broker.hold_answers(True)
    line.commit(5)
    assert len(receive(mes, 5)) == 5
    broker.cut()
    broker.hold_answers(False)
    assert line.delivery.drain(10.0)
    line.commit(1)
    assert line.delivery.drain(10.0)
    # Once by the window on the new connection, and by nobody else.
    seqs = [verdict.seq for verdict in receive(mes, 6)]
    assert sorted(seqs) == [1, 2, 3, 4, 5, 6]


def test_verdicts_are_sent_again_on_request_beside_the_live_ones(
    tmp_path: Path, broker: MemoryBroker, mes: MemorySubscriber, opened: ExitStack
) -> None:
    line = opened.enter_context(closing(Line(tmp_path, broker, replay=True)))
    line.delivery.start()
    line.commit(10)
    assert line.delivery.drain(10.0)
    replays = opened.enter_context(closing(MemorySubscriber(broker, f"{TOPICS.replay}/#")))
    ask(broker, {"from_seq": 3, "to_seq": 12, "request_id": "q"})
    messages = listen_until(replays, lambda messages: len(messages) >= 10)
    answer = ReplayAnswer.model_validate_json(
        next(m.payload for m in messages if m.topic == TOPICS.replay_answer)
    )
    assert (answer.request_id, answer.verdicts) == ("q", 8)
    assert answer.refusal == "the journal holds 1 to 10"
    again = verdicts([m for m in messages if m.topic == TOPICS.replay])
    assert [verdict.seq for verdict in again] == list(range(3, 11))
    assert {verdict.delivery.lane for verdict in again} == {Lane.REPLAY}
    assert line.delivery.acknowledged == 10, "replays are no new verdicts"
    assert line.journal.pending_count == 0


def test_a_request_is_refused_where_replay_is_not_enabled(
    line: Line, broker: MemoryBroker, opened: ExitStack
) -> None:
    answers = opened.enter_context(closing(MemorySubscriber(broker, TOPICS.replay_answer)))
    assert eventually(lambda: line.publisher.connected)
    ask(broker, {"from_seq": 1, "to_seq": 1})
    (answer,) = listen_until(answers, lambda messages: len(messages) >= 1)
    assert b"not enabled" in answer.payload


def ask(broker: MemoryBroker, request: dict[str, object]) -> None:
    with broker.changed:
        broker.take(
            Outgoing(topic=TOPICS.replay_set, payload=json.dumps(request).encode(), number=1)
        )


def unsettled(journal: Journal) -> list[int]:
    """Verdicts whose answer has not been written down."""
    rows = journal._database.reader.execute(
        "SELECT seq FROM verdict WHERE seq NOT IN (SELECT seq FROM answer)"
    )
    return [seq for (seq,) in rows]
