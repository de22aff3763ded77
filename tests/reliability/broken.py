"""The daemon with a mistake built in: what the tests of this folder must be able to catch.

    python -m tests.reliability.broken MISTAKE -- <daemon arguments>

Each mistake is one that a station of this kind could really have, made by replacing a part of the
product in this process alone.
"""

import math
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

from edge_runtime.assembly import station as assembly
from edge_runtime.capture.process import CaptureProcess
from edge_runtime.cli.main import main
from edge_runtime.contracts.verdict import DeliveryNote, Lane, Outcome, message
from edge_runtime.errors import DiskFullError, StateError
from edge_runtime.health import HealthLog
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes import client, connection
from edge_runtime.mes.base import Acknowledgement, Publisher
from edge_runtime.mes.mqtt import MqttPublisher
from edge_runtime.mes.window import Outgoing, SendWindow
from tests.reliability.daemon import TOPICS

_LEAK_BYTES = 10_000
"""About what one picture weighs."""
_SLOW_SYNC_S = 0.1
"""What a commit takes on a worn card. On a quick disk a kill seldom hits the moment between the two."""

_SMALL_BUFFER = 32
"""Messages; one and a half seconds at 20 parts a second."""


def publish_before_commit() -> None:
    """Sends a verdict and commits it after that, for the sake of speed."""
    opened: list[Publisher] = []
    open_publisher = assembly.open_publisher

    def remember(*arguments: Any, **named: Any) -> Publisher:
        opened.append(open_publisher(*arguments, **named))
        return opened[-1]

    class PublishesFirst(Journal):
        sent: ClassVar[set[int]] = set()
        early: ClassVar[set[int]] = set()
        """Acknowledged before they were committed."""

        def append(self, entries: Sequence[Entry]) -> None:
            for entry in entries:
                note = DeliveryNote(lane=Lane.LIVE, waited_ms=0.0)
                if opened[-1].publish(entry.seq, f"{TOPICS}/verdict", message(entry.body, note)):
                    self.sent.add(entry.seq)
            time.sleep(_SLOW_SYNC_S)
            super().append(entries)
            for entry in entries:
                if entry.seq in self.early:
                    super().acknowledge(entry.seq)

        def acknowledge(self, seq: int) -> None:
            if seq < self.next_seq:
                super().acknowledge(seq)
            else:
                self.early.add(seq)

        def unanswered(self, *arguments: Any, **named: Any) -> tuple[Entry, ...]:
            found = super().unanswered(*arguments, **named)
            return tuple(entry for entry in found if entry.seq not in self.sent)

    assembly.open_publisher = remember
    assembly.Journal = PublishesFirst


def clear_on_send() -> None:
    """Takes a verdict for delivered as soon as it was handed to the connection."""

    class ClearsOnSend(Journal):
        def unanswered(self, *arguments: Any, **named: Any) -> tuple[Entry, ...]:
            given = super().unanswered(*arguments, **named)
            for entry in given:
                super().acknowledge(entry.seq)
            self.flush()
            return given

        def acknowledge(self, seq: int) -> None:
            """Was done before."""

    assembly.Journal = ClearsOnSend


def forget_the_answered() -> None:
    """Has an outbox and no journal: what the broker took cannot be sent again."""

    class Forgets(Journal):
        def stored(self, first: int, last: int, limit: int) -> tuple[Entry, ...]:
            return super().unanswered(first - 1, limit, up_to=last)

    assembly.Journal = Forgets


def forget_on_break() -> None:
    """Forgets what was on its way when the connection breaks."""
    closed = SendWindow.closed

    def forget(self: SendWindow, *, over_message: bool) -> Outgoing | None:
        self._unanswered.clear()
        return closed(self, over_message=over_message)

    SendWindow.closed = forget


def send_and_forget() -> None:
    """Clears on send, as plain publishing at QoS 0 does: a break and a full buffer lose what they meet.

    Until its first connection it waits, so that a network without a fault costs it nothing.
    """
    forget_on_break()
    publish = MqttPublisher.publish
    SendWindow.__init__.__kwdefaults__["limit"] = _SMALL_BUFFER

    def send(self: MqttPublisher, number: int, topic: str, payload: bytes) -> bool:
        publish(self, number, topic, payload)
        self._on_acknowledged(Acknowledgement(topic=topic, number=number, refusal=None))
        return True

    MqttPublisher.publish = send
    MqttPublisher.connected = property(lambda self: self.connections > 0)
    MqttPublisher._report = lambda *_: None


def never_doubt() -> None:
    """Takes a silent connection for a quiet one: no keep-alive, and all the time to answer."""
    client.KEEP_ALIVE_S = 0
    connection._ANSWER_TIMEOUT_S = math.inf


def drop_what_the_disk_refuses() -> None:
    """Goes on with the next part where the disk takes no verdict, so that the line never waits."""

    class Drops(Journal):
        def append(self, entries: Sequence[Entry]) -> None:
            with suppress(StateError):
                super().append(entries)

    assembly.Journal = Drops


def start_anyway() -> None:
    """Keeps its journal somewhere else where the folder for it cannot be used."""

    class Elsewhere(Journal):
        def __init__(self, folder: Path, **options: Any) -> None:
            try:
                super().__init__(folder, **options)
            except StateError:
                super().__init__(folder.parent.parent / "elsewhere", **options)

    assembly.Journal = Elsewhere


def settle_when_full() -> None:
    """Takes what waits for the broker for delivered when the disk is full, as if that made room."""

    class Settles(Journal):
        def append(self, entries: Sequence[Entry]) -> None:
            try:
                super().append(entries)
            except DiskFullError:
                for entry in self.unanswered(0, 1000):
                    super().acknowledge(entry.seq)
                raise

    assembly.Journal = Settles


def time_by_the_wall() -> None:
    """Measures every duration with the clock that people set."""
    time.monotonic = time.time


def say_online_first() -> None:
    """Says `online` as soon as it is connected, and only then what state it is in."""
    opened = SendWindow.opened

    def announce(self: SendWindow, quota: int) -> None:
        opened(self, quota)
        self._due = dict.fromkeys([self._availability_topic, *self._states])

    SendWindow.opened = announce


def leak() -> None:
    """Keeps something of every part for ever."""
    kept: list[bytearray] = []
    committed = HealthLog.verdicts_committed

    def keep(self: HealthLog, outcomes: Iterable[Outcome], **counts: int) -> None:
        outcomes = list(outcomes)
        kept.extend(bytearray(_LEAK_BYTES) for _ in outcomes)
        committed(self, outcomes, **counts)

    HealthLog.verdicts_committed = keep


def keep_lost_cameras() -> None:
    """Starts a camera's process anew and forgets the last one, with its pipes and its memory."""
    kept: list[CaptureProcess] = []

    def forget(self: CaptureProcess, grace_s: float = 0.0) -> bool:
        kept.append(self)
        return True

    CaptureProcess.close = forget


MISTAKES: dict[str, Callable[[], None]] = {
    "publish-before-commit": publish_before_commit,
    "clear-on-send": clear_on_send,
    "forget-the-answered": forget_the_answered,
    "forget-on-break": forget_on_break,
    "send-and-forget": send_and_forget,
    "never-doubt": never_doubt,
    "drop-what-the-disk-refuses": drop_what_the_disk_refuses,
    "start-anyway": start_anyway,
    "settle-when-full": settle_when_full,
    "time-by-the-wall": time_by_the_wall,
    "say-online-first": say_online_first,
    "leak": leak,
    "keep-lost-cameras": keep_lost_cameras,
}


if __name__ == "__main__":
    mistake, _, *arguments = sys.argv[1:]
    MISTAKES[mistake]()
    sys.exit(main(arguments))
