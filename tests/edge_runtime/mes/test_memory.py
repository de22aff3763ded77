"""The misbehaviour that the broker in memory offers to tests."""

import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from edge_runtime.errors import BrokerError
from edge_runtime.mes import memory
from edge_runtime.mes.base import Acknowledgement, Message
from edge_runtime.mes.memory import MemoryBroker, MemoryPublisher, MemorySubscriber
from tests.patience import eventually, listen_until

AVAILABILITY = "a/availability"
VERDICT = "a/verdict"


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker.named(uuid.uuid4().hex)


@contextmanager
def started(broker: MemoryBroker) -> Iterator[tuple[MemoryPublisher, list[Acknowledgement]]]:
    publisher = MemoryPublisher(broker, client_id="s3", availability_topic=AVAILABILITY)
    answers: list[Acknowledgement] = []
    publisher.start(answers.append)
    try:
        yield publisher, answers
    finally:
        publisher.stop(2.0)


def test_one_name_is_one_broker(broker: MemoryBroker) -> None:
    name = uuid.uuid4().hex
    assert MemoryBroker.named(name) is MemoryBroker.named(name)
    assert MemoryBroker.named(name) is not broker


def test_a_cut_connection_says_its_will_and_comes_back(broker: MemoryBroker) -> None:
    with closing(MemorySubscriber(broker, "#")) as mes, started(broker) as (publisher, _):
        assert eventually(lambda: publisher.connected)
        broker.cut()
        assert eventually(lambda: publisher.connections == 2)
        messages = listen_until(mes, lambda messages: len(messages) == 3)
    assert [message.payload for message in messages] == [b"online", b"offline", b"online"]


def test_a_refused_connection_is_none_until_it_is_accepted(broker: MemoryBroker) -> None:
    broker.refuse_connections("Not authorized")
    with started(broker) as (publisher, _):
        assert eventually(lambda: "refused: Not authorized" in (publisher.problem or ""))
        assert (publisher.connected, publisher.connections) == (False, 0)
        broker.refuse_connections(None)
        assert eventually(lambda: publisher.connected)


def test_a_full_inbox_holds_the_publisher_up_and_drops_nothing(
    broker: MemoryBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_BUFFERED", 5)
    with closing(MemorySubscriber(broker, VERDICT)) as mes, started(broker) as (publisher, answers):
        assert eventually(lambda: publisher.connected)
        for seq in range(1, 31):
            assert publisher.publish(seq, VERDICT, str(seq).encode())
        assert eventually(lambda: len(answers) == 5)
        received: list[Message] = listen_until(mes, lambda messages: len(messages) == 30)
    assert [int(message.payload) for message in received] == list(range(1, 31))


def test_a_closed_subscription_hears_nothing_more(broker: MemoryBroker) -> None:
    mes = MemorySubscriber(broker, VERDICT)
    mes.close()
    mes.close()
    with started(broker) as (publisher, answers):
        assert eventually(lambda: publisher.publish(1, VERDICT, b"1"))
        assert eventually(lambda: answers)
    assert mes.receive(0.0) is None


def test_a_subscription_to_a_broker_that_is_down_is_refused(broker: MemoryBroker) -> None:
    broker.set_up(False)
    with pytest.raises(BrokerError, match="down"):
        MemorySubscriber(broker, VERDICT)
