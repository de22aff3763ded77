"""What waits for the broker and in which order it goes out: the rules every publisher shares.

Values in, values out: no thread, no socket, no clock. The publisher that owns a window guards it
with its own lock. Nothing is dropped here: a message is taken or not taken, and once taken it stays
until it has been answered. The order on every connection is: states, `online`, messages that an
earlier connection left unanswered, new ones. Of a state only the last payload counts.

**A message that kills the connection.** Some brokers cut the connection over one message, for
example a large one. It would go out again first thing on every connection, for ever. So after such
a break the window sends one message at a time, and the one that breaks it again, alone on the wire,
is refused.
"""

from collections import deque
from dataclasses import dataclass

ONLINE = b"online"
STOPPED = b"stopped"
OFFLINE = b"offline"
_FORBIDDEN = frozenset("+#\0")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outgoing:
    """One message to the broker; itself and no other, even where the contents agree."""

    topic: str
    payload: bytes
    number: int | None
    """Names it among the unanswered ones on its topic; None for a state, which is retained."""


class SendWindow:
    """Messages taken and not yet answered, with the states to announce; at most `limit`
    of the former."""

    def __init__(self, availability_topic: str, *, limit: int = 256) -> None:
        self._availability_topic = _checked(availability_topic)
        self._limit = limit
        self._unanswered: dict[tuple[str, int], Outgoing] = {}
        self._waiting: deque[Outgoing] = deque()
        self._states: dict[str, bytes] = {}
        self._due: dict[str, None] = {}
        self._quota = 0
        self._on_wire: list[Outgoing] = []
        self._open = False
        self._probing = False
        self._finishing = False
        self._farewell_due = False

    @property
    def open(self) -> bool:
        """Between `opened` and `closed`."""
        return self._open

    @property
    def finished(self) -> bool:
        """After `finish`, once everything has been answered, `stopped` last."""
        return self._finishing and not (
            self._on_wire or self._waiting or self._due or self._farewell_due
        )

    def offer(self, number: int, topic: str, payload: bytes) -> bool:
        """Take a message, or False: not connected, stopping, or `limit` of them unanswered."""
        if not self._open or self._finishing or len(self._unanswered) >= self._limit:
            return False
        if (topic, number) in self._unanswered:
            raise ValueError(f"message {number} on {topic} was handed over twice")
        item = Outgoing(topic=_checked(topic), payload=payload, number=number)
        self._unanswered[topic, number] = item
        self._waiting.append(item)
        return True

    def set_state(self, topic: str, payload: bytes) -> None:
        """Remember a state for every connection from now on, the present one included."""
        self._states[_checked(topic)] = payload
        if self._open:
            self._due[topic] = None

    def opened(self, quota: int) -> None:
        """The broker accepted a connection and allows `quota` unanswered messages on it."""
        self._open = True
        self._quota = quota
        self._on_wire = []
        self._due = dict.fromkeys(self._states)
        self._due[self._availability_topic] = None
        self._waiting = deque(self._unanswered.values())

    def next(self) -> Outgoing | None:
        """The next message to send, or None: nothing to send, or no more allowed for now."""
        if not self._open or len(self._on_wire) >= (1 if self._probing else self._quota):
            return None
        if self._due:
            topic = next(iter(self._due))
            del self._due[topic]
            payload = ONLINE if topic == self._availability_topic else self._states[topic]
            item = Outgoing(topic=topic, payload=payload, number=None)
        elif self._waiting:
            item = self._waiting.popleft()
        elif self._farewell_due:
            self._farewell_due = False
            item = Outgoing(topic=self._availability_topic, payload=STOPPED, number=None)
        else:
            return None
        self._on_wire.append(item)
        return item

    def answered(self, item: Outgoing) -> None:
        """The broker answered a message that `next` gave on this connection, well or ill."""
        self._on_wire.remove(item)
        if item.number is not None:
            del self._unanswered[item.topic, item.number]
        if not (self._on_wire or self._waiting or self._due):
            self._probing = False

    def closed(self, *, over_message: bool) -> Outgoing | None:
        """The connection is gone; `over_message` if the broker broke it because of what we sent.

        Returns the message that must be the culprit, now out of the window; usually None.
        """
        culprit = None
        if over_message and self._on_wire:
            if self._probing:
                culprit = self._on_wire[0]
                if culprit.number is None:
                    self._states.pop(culprit.topic, None)
                else:
                    del self._unanswered[culprit.topic, culprit.number]
            self._probing = True
        self._open = False
        self._on_wire = []
        self._waiting.clear()
        self._due.clear()
        return culprit

    def finish(self) -> None:
        """Take no more messages; when all have gone out, say `stopped`."""
        if not self._finishing:
            self._finishing = True
            self._farewell_due = True


def _checked(topic: str) -> str:
    if not topic or _FORBIDDEN & set(topic) or len(topic.encode()) > 65_535:
        raise ValueError(f"not a topic to publish on: {topic[:80]!r}")
    return topic
