"""Moves committed verdicts from the journal to the broker, in order, for as long as it takes.

Owns the thread between the two. It decides nothing about connections (the publisher does) and
deletes nothing before the broker has answered (the journal forgets on PUBACK). Within one run every
verdict is handed over once; one that an earlier run left unanswered is handed over again, and the
MES de-duplicates by `seq`.
"""

import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from edge_runtime.contracts.verdict import DeliveryNote, Lane, message
from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.base import Acknowledgement, Publisher

_LOG = logging.getLogger(__name__)

_READ_AHEAD = 256
_FLUSH_S = 1.0
"""Answers that no commit has taken along are written down after so long at most."""
_BLOCKED_S = 0.1
"""How soon to look again for a connection; nothing announces one."""
_TIMED = 4096
"""So many verdicts at most are timed by the monotonic clock, so that an outage costs no memory."""


class Delivery:
    """Delivers an journal over a publisher.

    `on_acknowledged(seq, now)` is told of each verdict the broker has taken, with the monotonic
    time in seconds, on the publisher's thread; it must be quick.
    """

    def __init__(
        self,
        journal: Journal,
        publisher: Publisher,
        topic: str,
        *,
        on_acknowledged: Callable[[int, float], None] = lambda _seq, _now: None,
    ) -> None:
        self._journal = journal
        self._publisher = publisher
        self._topic = topic
        self._on_acknowledged = on_acknowledged
        self._changed = threading.Condition()
        """Guards what follows; notified when the thread or `drain` may go on."""
        self._news = False
        self._blocked = False
        self._stopping = False
        self._decided: dict[int, float] = {}
        self._handed_over = 0
        self._acknowledged = 0
        self._refused = 0
        self._problems: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._read_ahead: deque[Entry] = deque()
        """The thread's own: read from the journal, not yet taken by the publisher."""
        self._last_read = 0

    @property
    def acknowledged(self) -> int:
        """Verdicts that the broker has taken since the start."""
        with self._changed:
            return self._acknowledged

    @property
    def refused(self) -> int:
        """Verdicts that the broker has refused since the start."""
        with self._changed:
            return self._refused

    @property
    def problem(self) -> str | None:
        """What keeps verdicts in the journal on this side of the network, in one line; usually
        None."""
        with self._changed:
            return "; ".join(self._problems.values()) or None

    def start(self) -> None:
        """Start the publisher and begin with what earlier runs have left."""
        self._publisher.start(self._on_answer)
        self._thread.start()

    def notify(self, decided: Mapping[int, float] | None = None) -> None:
        """Verdicts were committed; `decided` has their moments of decision (seq: monotonic,
        seconds)."""
        with self._changed:
            for seq, moment in (decided or {}).items():
                # The thread may have found the verdict in the journal before it was told.
                if seq > self._handed_over and len(self._decided) < _TIMED:
                    self._decided[seq] = moment
            self._news = True
            self._changed.notify_all()

    def drain(self, timeout_s: float) -> bool:
        """Wait until every verdict has been answered; False if that took longer than
        `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._journal.pending_count == 0, timeout_s)

    def stop(self) -> None:
        """End the thread and write down the acknowledgements; the publisher is stopped by its
        owner."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()
        self._flush()

    def _on_answer(self, answer: Acknowledgement) -> None:
        if answer.refusal is None:
            self._journal.acknowledge(answer.seq)
            self._on_acknowledged(answer.seq, time.monotonic())
        else:
            self._journal.refuse(answer.seq, answer.refusal)
            _LOG.warning("the broker refused verdict %d: %s", answer.seq, answer.refusal)
        with self._changed:
            if answer.refusal is None:
                self._acknowledged += 1
            else:
                self._refused += 1
            # An answer makes room for the blocked thread, and the last one ends `drain`.
            if self._blocked or self._journal.pending_count == 0:
                self._news = True
                self._changed.notify_all()

    # --- the delivery thread -----------------------------------------------------------------------

    def _run(self) -> None:
        flush_at = time.monotonic() + _FLUSH_S
        while True:
            with self._changed:
                if self._stopping:
                    return
                self._news = False
                # Set ahead of the attempt: an answer that comes right after it must count as news.
                self._blocked = True
            left = self._move()
            now = time.monotonic()
            if now >= flush_at:
                self._flush()
                flush_at = now + _FLUSH_S
            with self._changed:
                self._blocked = left
                self._changed.wait_for(
                    lambda: self._stopping or self._news, _BLOCKED_S if left else _FLUSH_S
                )

    def _move(self) -> bool:
        """Hand over what the publisher takes; True if something may be left."""
        if not self._publisher.connected:
            return True
        while self._read_ahead or self._read():
            entry = self._read_ahead[0]
            payload = self._payload(entry)
            if payload is None:
                refusal = "not readable as a verdict in the journal"
                self._on_answer(Acknowledgement(seq=entry.seq, refusal=refusal))
            elif not self._publisher.publish(entry.seq, self._topic, payload):
                return True
            self._read_ahead.popleft()
            with self._changed:
                self._handed_over = entry.seq
                self._decided.pop(entry.seq, None)
        return "read" in self._problems

    def _read(self) -> bool:
        try:
            entries = self._journal.unanswered(self._last_read, _READ_AHEAD)
        except StateError as exc:
            self._report("read", str(exc))
            return False
        self._report("read", None)
        if entries:
            self._last_read = entries[-1].seq
            self._read_ahead.extend(entries)
        return bool(entries)

    def _payload(self, entry: Entry) -> bytes | None:
        """The verdict with its delivery note; None if the body is not a verdict."""
        try:
            waited_ms = self._waited_ms(entry)
        except (ValueError, TypeError, KeyError):
            return None
        return message(entry.body, DeliveryNote(lane=Lane.LIVE, waited_ms=round(waited_ms, 3)))

    def _waited_ms(self, entry: Entry) -> float:
        with self._changed:
            decided = self._decided.get(entry.seq)
        if decided is not None:
            return (time.monotonic() - decided) * 1000
        # Decided by an earlier run: its monotonic clock is gone, and the wall clock may have been set.
        decided_at = datetime.fromisoformat(json.loads(entry.body)["decided_at"])
        return max(0.0, (datetime.now(UTC) - decided_at).total_seconds() * 1000)

    def _flush(self) -> None:
        try:
            self._journal.flush()
        except StateError as exc:
            self._report("flush", str(exc))
        else:
            self._report("flush", None)

    def _report(self, part: str, problem: str | None) -> None:
        with self._changed:
            before = self._problems.pop(part, None)
            if problem is not None:
                self._problems[part] = problem
        if problem is not None and problem != before:
            _LOG.error("%s", problem)
