"""The seam between the station and the message broker, from both ends."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from edge_runtime.contracts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledgement:
    """The broker's answer to one message."""

    topic: str
    number: int
    """As given to `publish`."""
    refusal: str | None
    """None when the broker has taken the message; else its reason for refusing it for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as a subscriber receives it."""

    topic: str
    payload: bytes
    retained: bool
    """True when it was stored at the broker before the subscription."""


class Publisher(Protocol):
    """The station's end. All methods may be called from any thread; none waits for the network.

    Connecting, reconnecting with back-off and the last will are the publisher's own business. At every
    (re)connection it sends the remembered states first and `availability` = `online` last.
    """

    @property
    def connected(self) -> bool:
        """True between an accepted connection and its loss."""
        ...

    @property
    def connections(self) -> int:
        """Accepted connections since `start`."""
        ...

    @property
    def problem(self) -> str | None:
        """Why there is no connection at present, in one line; None while connected."""
        ...

    def listen(self, topic: str, on_message: Callable[[Message], None]) -> None:
        """Before `start`: receive what is published on a topic, at every connection.

        `on_message` runs on the publisher's thread. Retained messages are left out, since a command
        must not be heard again at each connection.
        """
        ...

    def start(self, on_acknowledged: Callable[[Acknowledgement], None]) -> None:
        """Begin to connect, however long it takes; `on_acknowledged` runs on the publisher's thread."""
        ...

    def publish(self, number: int, topic: str, payload: bytes) -> bool:
        """Hand over one message, at least once (QoS 1), not retained.

        `number` names it among the unanswered ones on its topic: for a verdict, its `seq`.

        False when it was not taken (not connected, or the window of unacknowledged messages is full):
        the caller keeps it and tries again. True means that exactly one Acknowledgement follows, however
        often the connection breaks in between, as long as the publisher lives.
        """
        ...

    def set_state(self, topic: str, payload: bytes) -> None:
        """Publish a retained state (QoS 1) now and again at each reconnection; the last one counts."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Say `stopped` as availability and disconnect, within `timeout_s`; safe to call twice."""
        ...


class Mirror(Protocol):
    """Where verdicts are shown as well, at most once; the record does not depend on it.

    All methods may be called from any thread.
    """

    @property
    def problem(self) -> str | None:
        """Why nothing is mirrored at present, in one line; None while it is."""
        ...

    @property
    def dropped(self) -> int:
        """Verdicts since `start` that were not mirrored."""
        ...

    def start(self) -> None:
        """Begin to connect, however long it takes."""
        ...

    def mirror(self, verdicts: Sequence[Verdict]) -> None:
        """Take over committed verdicts, in order; never waits, never refuses."""
        ...

    def stop(self, timeout_s: float) -> None:
        """Send what waits and disconnect, within `timeout_s`; safe to call twice."""
        ...


class Subscriber(Protocol):
    """The MES's end: a subscription that is live when the constructor returns. Used by one thread."""

    @property
    def problem(self) -> str | None:
        """Why there is no connection at present, in one line; None while connected."""
        ...

    def receive(self, timeout_s: float) -> Message | None:
        """The next message in order of arrival, or None when none came within `timeout_s`.

        With this all earlier messages are acknowledged.
        """
        ...

    def acknowledge(self) -> None:
        """The message received last has been dealt with and need not come again."""
        ...

    def publish(self, topic: str, payload: bytes) -> bool:
        """Send one message (QoS 1), not retained; False while there is no connection."""
        ...

    def close(self) -> None:
        """End the subscription; safe to call twice."""
        ...
