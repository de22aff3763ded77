"""A broker within the process, with both its ends: for tests, and where no mosquitto can be had.

It keeps what matters of MQTT: retained messages, last wills, one acknowledgement per message,
take-over by client id. It can be told to misbehave: `set_up`, `cut`, `refuse_connections`,
`refuse_messages`, `hold_answers`. Nothing of it survives the process.

**Threads.** One condition per broker guards the broker, the inboxes and the publishers' windows.
Each publisher has a thread of its own, as over MQTT: acknowledgements arrive there, outside of the
lock.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

from edge_runtime.errors import BrokerError
from edge_runtime.mes.back_off import BackOff
from edge_runtime.mes.base import Acknowledgement, Message
from edge_runtime.mes.topics import matches
from edge_runtime.mes.window import OFFLINE, Outgoing, SendWindow

_QUOTA: Final = 20
"""Unanswered messages allowed per connection, as many as mosquitto's default."""
_BUFFERED: Final = 10_000
"""Messages an inbox holds; a full one makes the publishers wait, nothing is dropped."""
_BACK_OFF_BASE_S: Final = 0.02
_BACK_OFF_CAP_S: Final = 0.5
"""Nothing but this process suffers from attempts, so they may follow quickly."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MemoryConnection:
    """What a publisher holds while it is connected."""

    client_id: str
    will_topic: str
    listens_to: frozenset[str] = frozenset()
    inbox: deque[Message] = field(default_factory=deque)


class MemoryBroker:
    """Stores, forwards and acknowledges. `named` gives the one that `memory://NAME` means."""

    _named: ClassVar[dict[str, "MemoryBroker"]] = {}
    _naming: ClassVar[threading.Lock] = threading.Lock()

    @classmethod
    def named(cls, name: str) -> "MemoryBroker":
        """The process's broker of that name, made at its first use."""
        with cls._naming:
            return cls._named.setdefault(name, cls())

    def __init__(self) -> None:
        self.changed = threading.Condition()
        """Guards all state here and at both ends; notified of every change."""
        self._up = True
        self._connect_refusal: str | None = None
        self._message_refusal: Callable[[str, bytes], str | None] = lambda _topic, _payload: None
        self._holding = False
        self._connections: dict[str, MemoryConnection] = {}
        self._retained: dict[str, bytes] = {}
        self._subscribers: list[MemorySubscriber] = []

    # --- how to make it misbehave --------------------------------------------------------------------

    def set_up(self, up: bool) -> None:
        """Take it down as a crash does (connections lost, no wills said), or up again."""
        with self.changed:
            self._up = up
            if not up:
                self._connections.clear()
            self.changed.notify_all()

    def cut(self) -> None:
        """Lose every connection as a dead client or network does: the last wills are said."""
        with self.changed:
            for connection in tuple(self._connections.values()):
                self._say_will(connection)
            self.changed.notify_all()

    def refuse_connections(self, reason: str | None) -> None:
        """Refuse whoever connects from now on; None accepts again."""
        with self.changed:
            self._connect_refusal = reason
            self.changed.notify_all()

    def refuse_messages(self, rule: Callable[[str, bytes], str | None]) -> None:
        """Answer messages with what `rule(topic, payload)` gives: a refusal, or None to take it."""
        with self.changed:
            self._message_refusal = rule

    def hold_answers(self, holding: bool) -> None:
        """Take messages without acknowledging them, or acknowledge what was held back."""
        with self.changed:
            self._holding = holding
            self.changed.notify_all()

    # --- what its clients call, holding `changed` ----------------------------------------------------

    @property
    def answering(self) -> bool:
        """False while acknowledgements are held back."""
        return not self._holding

    @property
    def has_room(self) -> bool:
        """False while some inbox is full."""
        return all(subscriber.has_room for subscriber in self._subscribers)

    def connect(self, connection: MemoryConnection) -> None:
        """Accept a client, taking over from one with the same id; raises BrokerError that says why
        not."""
        if not self._up:
            raise BrokerError("cannot be reached: it is down")
        if self._connect_refusal is not None:
            raise BrokerError(f"refused: {self._connect_refusal}")
        if (previous := self._connections.get(connection.client_id)) is not None:
            self._say_will(previous)
        self._connections[connection.client_id] = connection
        self.changed.notify_all()

    def holds(self, connection: MemoryConnection) -> bool:
        """Whether the connection still stands."""
        return self._connections.get(connection.client_id) is connection

    def leave(self, connection: MemoryConnection, *, in_order: bool) -> None:
        """End a connection; its last will is said unless it ends in order."""
        if self.holds(connection):
            if in_order:
                del self._connections[connection.client_id]
            else:
                self._say_will(connection)
            self.changed.notify_all()

    def take(self, item: Outgoing) -> str | None:
        """Store and forward a message; the refusal if it is not taken."""
        refusal = self._message_refusal(item.topic, item.payload)
        if refusal is None:
            self._forward(item.topic, item.payload, retain=item.number is None)
        return refusal

    @property
    def up(self) -> bool:
        """False while it is down."""
        return self._up

    def say(self, topic: str, payload: bytes) -> bool:
        """Forward a subscriber's message; False while it is down."""
        if self._up and self._message_refusal(topic, payload) is None:
            self._forward(topic, payload, retain=False)
        return self._up

    def subscribe(self, subscriber: "MemorySubscriber") -> None:
        """Give the retained messages, then everything that comes; raises BrokerError while it is
        down."""
        if not self._up:
            raise BrokerError("the broker is down")
        for topic, payload in self._retained.items():
            subscriber.deliver(Message(topic=topic, payload=payload, retained=True))
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: "MemorySubscriber") -> None:
        """End a subscription."""
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
            self.changed.notify_all()

    def _say_will(self, connection: MemoryConnection) -> None:
        del self._connections[connection.client_id]
        self._forward(connection.will_topic, OFFLINE, retain=True)

    def _forward(self, topic: str, payload: bytes, *, retain: bool) -> None:
        if retain:
            self._retained[topic] = payload
        arrived = Message(topic=topic, payload=payload, retained=False)
        for subscriber in self._subscribers:
            subscriber.deliver(arrived)
        for connection in self._connections.values():
            if topic in connection.listens_to:
                connection.inbox.append(arrived)
        self.changed.notify_all()


class MemoryPublisher:
    """The station's end; the same promises as over MQTT, see `Publisher`."""

    def __init__(self, broker: MemoryBroker, *, client_id: str, availability_topic: str) -> None:
        self._broker = broker
        self._client_id = client_id
        self._availability_topic = availability_topic
        self._window = SendWindow(availability_topic)
        self._held: list[tuple[Outgoing, str | None]] = []
        self._connections = 0
        self._problem: str | None = "the broker in memory is not connected yet"
        self._stop_by: float | None = None
        self._thread: threading.Thread | None = None
        self._on_acknowledged: Callable[[Acknowledgement], None] | None = None
        self._on_message: dict[str, Callable[[Message], None]] = {}

    @property
    def connected(self) -> bool:
        with self._broker.changed:
            return self._window.open

    @property
    def connections(self) -> int:
        with self._broker.changed:
            return self._connections

    @property
    def problem(self) -> str | None:
        with self._broker.changed:
            return self._problem

    def listen(self, topic: str, on_message: Callable[[Message], None]) -> None:
        self._on_message[topic] = on_message

    def start(self, on_acknowledged: Callable[[Acknowledgement], None]) -> None:
        if self._thread is not None:
            raise RuntimeError("this publisher was started before")
        self._on_acknowledged = on_acknowledged
        self._thread = threading.Thread(target=self._run, name="memory-publisher", daemon=True)
        self._thread.start()

    def publish(self, number: int, topic: str, payload: bytes) -> bool:
        with self._broker.changed:
            taken = self._window.offer(number, topic, payload)
            if taken:
                self._broker.changed.notify_all()
            return taken

    def set_state(self, topic: str, payload: bytes) -> None:
        with self._broker.changed:
            self._window.set_state(topic, payload)
            self._broker.changed.notify_all()

    def stop(self, timeout_s: float) -> None:
        with self._broker.changed:
            if self._stop_by is None:
                self._stop_by = time.monotonic() + timeout_s
                self._window.finish()
                self._broker.changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # --- the publisher's thread --------------------------------------------------------------------

    def _run(self) -> None:
        back_off = BackOff(base_s=_BACK_OFF_BASE_S, cap_s=_BACK_OFF_CAP_S)
        while self._stop_by is None:
            connection = MemoryConnection(
                client_id=self._client_id,
                will_topic=self._availability_topic,
                listens_to=frozenset(self._on_message),
            )
            accepted_at: float | None = None
            try:
                with self._broker.changed:
                    self._broker.connect(connection)
                    self._window.opened(_QUOTA)
                    self._connections += 1
                    self._problem = None
                accepted_at = time.monotonic()
                self._converse(connection)
                problem = "lost the connection"
            except BrokerError as exc:
                problem = str(exc)
            back_off.attempted(None if accepted_at is None else time.monotonic() - accepted_at)
            with self._broker.changed:
                self._problem = f"the broker in memory {problem}{back_off.remark}"
                self._broker.changed.wait_for(lambda: self._stop_by is not None, back_off.delay_s())

    def _converse(self, connection: MemoryConnection) -> None:
        broker = self._broker
        while True:
            with broker.changed:
                if not broker.holds(connection) or self._leaving(connection):
                    self._window.closed(over_message=False)
                    self._held.clear()
                    return
                item = self._window.next() if broker.has_room else None
                if item is not None:
                    self._held.append((item, broker.take(item)))
                answers: list[tuple[Outgoing, str | None]] = []
                if broker.answering:
                    answers, self._held = self._held, answers
                for answered, _ in answers:
                    self._window.answered(answered)
                arrived = tuple(connection.inbox)
                connection.inbox.clear()
                if item is None and not answers and not arrived:
                    broker.changed.wait(self._patience_s())
            for answered, refusal in answers:
                if answered.number is not None and self._on_acknowledged is not None:
                    self._on_acknowledged(
                        Acknowledgement(
                            topic=answered.topic, number=answered.number, refusal=refusal
                        )
                    )
            for message in arrived:
                self._on_message[message.topic](message)

    def _leaving(self, connection: MemoryConnection) -> bool:
        """True once a stop was asked for and all is said, or its time is over."""
        if self._stop_by is None:
            return False
        if not self._window.finished and time.monotonic() < self._stop_by:
            return False
        self._broker.leave(connection, in_order=self._window.finished)
        return True

    def _patience_s(self) -> float | None:
        return None if self._stop_by is None else max(0.0, self._stop_by - time.monotonic())


class MemorySubscriber:
    """The MES's end; raises BrokerError when the broker is down."""

    def __init__(self, broker: MemoryBroker, topic_filter: str) -> None:
        self._broker = broker
        self._topic_filter = topic_filter
        self._inbox: deque[Message] = deque()
        with broker.changed:
            broker.subscribe(self)

    @property
    def problem(self) -> str | None:
        with self._broker.changed:
            return None if self._broker.up else "the broker in memory is down"

    @property
    def has_room(self) -> bool:
        """False while nobody fetches what has come."""
        return len(self._inbox) < _BUFFERED

    def deliver(self, message: Message) -> None:
        """Called by the broker."""
        if matches(self._topic_filter, message.topic):
            self._inbox.append(message)

    def receive(self, timeout_s: float) -> Message | None:
        with self._broker.changed:
            if not self._broker.changed.wait_for(lambda: self._inbox, timeout_s):
                return None
            if not self.has_room:
                self._broker.changed.notify_all()
            return self._inbox.popleft()

    def acknowledge(self) -> None:
        """What was received has left the inbox: nothing within a process comes again."""

    def publish(self, topic: str, payload: bytes) -> bool:
        with self._broker.changed:
            return self._broker.say(topic, payload)

    def close(self) -> None:
        with self._broker.changed:
            self._broker.unsubscribe(self)
