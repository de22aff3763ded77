"""The station's end for labels: takes them from the broker, keeps them, answers, measures.

**Threads.** `hear` runs on the publisher's thread and only puts a label into a bounded queue; what comes
while it is full is counted and lost, and its sender knows by the missing answer. Everything on disk is
done by a thread of its own, which also copies new verdicts from the journal into the book, so that the
line waits for no label. `measured` may be called by any thread.

A label counts once it is answered: one that was not, whether the station was away or killed, is sent
again by whoever sent it, and changes nothing if it was kept after all.
"""

import json
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from edge_runtime import policy
from edge_runtime.contracts.label import Label, LabelAnswer
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.performance import Measured
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift.measured import measured
from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.labels.book import LabelBook
from edge_runtime.labels.desk import Answered, LabelDesk
from edge_runtime.mes.base import Message, Publisher
from edge_runtime.mes.topics import Topics

_LOG = logging.getLogger(__name__)
QUEUED: Final = 4096
"""Labels that wait to be kept at most."""
IGNORED: Final = "ignored"
"""What became of labels that found the queue full."""
_UNSENT: Final = 4096
"""Answers that wait for the broker at most; the oldest are left out."""
_POLL_S: Final = 0.5
_COPIED_AT_ONCE: Final = 256
_MEASURED_EVERY_S: Final = 10.0
_EPOCH: Final = date(1970, 1, 1)


class LabelIntake:
    """Takes labels for one station; `model_sha256` is the model whose figures are measured."""

    def __init__(
        self,
        book: LabelBook,
        journal: Journal,
        publisher: Publisher,
        topics: Topics,
        *,
        model: ModelSpec,
        model_sha256: str,
        days: int,
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._book = book
        self._journal = journal
        self._publisher = publisher
        self._topic = topics.label_answer
        self._model = model
        self._model_sha256 = model_sha256
        self._days = days
        self._today = today
        self._heard: queue.Queue[bytes] = queue.Queue(QUEUED)
        self._ignored = 0
        self._stopping = threading.Event()
        self._on_kept: Callable[[int, str], None] = lambda _seq, _label: None
        self._thread = threading.Thread(target=self._run, name="labels", daemon=True)
        self._measured: Measured | None = None
        # The thread's own:
        self._desk = LabelDesk(model.labels)
        self._unsent: deque[LabelAnswer] = deque(maxlen=_UNSENT)
        self._sent = 0
        self._copied_to = book.copied_to
        self._problem: str | None = None

    def tell(self, on_kept: Callable[[int, str], None]) -> None:
        """Call this with the number of a verdict and its label once it is kept, on the thread here; it
        must return at once. To be said before `start`."""
        self._on_kept = on_kept

    def start(self) -> None:
        """Copy what the journal has gained, then take labels."""
        self._thread.start()

    def hear(self, message: Message) -> None:
        """A label has come."""
        try:
            self._heard.put_nowait(message.payload)
        except queue.Full:
            self._ignored += 1

    def measured(self) -> Measured | None:
        """The figures at present; None before they were reckoned first."""
        return self._measured

    def stop(self) -> None:
        """End the thread; what it has not kept by then is not answered. Safe to call twice."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    # --- the thread --------------------------------------------------------------------------------

    def _run(self) -> None:
        held: bytes | None = None
        measure_at = time.monotonic()
        while not self._stopping.is_set():
            try:
                self._copy()
                if held is None:
                    held = self._next()
                while held is not None:
                    self._take(held)
                    held = self._next(wait=False)
                    measure_at = min(measure_at, time.monotonic() + 1.0)
                if time.monotonic() >= measure_at:
                    self._measure()
                    measure_at = time.monotonic() + _MEASURED_EVERY_S
            except StateError as exc:
                self._report(str(exc))
                self._stopping.wait(_POLL_S)
            else:
                self._report(None)
            self._answer()

    def _next(self, *, wait: bool = True) -> bytes | None:
        try:
            return self._heard.get(timeout=_POLL_S) if wait else self._heard.get_nowait()
        except queue.Empty:
            return None

    def _copy(self) -> None:
        """Take over what the journal has gained, so that a label of the newest part is matched."""
        while (last := self._journal.head.last_seq) > self._copied_to:
            found = self._journal.stored(self._copied_to + 1, last, _COPIED_AT_ONCE)
            if verdicts := [_answered(entry) for entry in found]:
                self._book.copy(verdicts)
            # What was pruned is passed over.
            self._copied_to = found[-1].seq if found else last

    def _take(self, payload: bytes) -> None:
        read = self._desk.read(payload)
        if isinstance(read, Label):
            # Its part may have been decided since.
            self._copy()
            verdict = self._book.find(read)
            before = self._book.known(verdict.seq) if verdict is not None else None
            read, known = self._desk.match(read, verdict, before)
            if verdict is not None and known is not None:
                self._book.keep(verdict, known)
                self._on_kept(verdict.seq, known.truth)
        self._unsent.append(read)

    def _answer(self) -> None:
        while self._unsent:
            payload = self._unsent[0].to_json().encode()
            if not self._publisher.publish(self._sent + 1, self._topic, payload):
                return
            self._sent += 1
            self._unsent.popleft()

    def _measure(self) -> None:
        from_day = (self._today() - _EPOCH).days - self._days + 1
        self._book.forget_before(from_day)
        first = self._book.first_day(self._model_sha256, from_day)
        received = dict(self._desk.counts)
        if self._ignored:
            received[IGNORED] = self._ignored
        self._measured = measured(
            self._model,
            policy.answers(self._model),
            self._book.answered(self._model_sha256, from_day),
            self._book.labelled(self._model_sha256, from_day),
            since=None if first is None else _midnight(first),
            received=received,
        )

    def _report(self, problem: str | None) -> None:
        if problem is not None and problem != self._problem:
            _LOG.error("labels: %s", problem)
        self._problem = problem


def _answered(entry: Entry) -> Answered:
    """A verdict as the book has it; whatever cannot be read as one is nobody's part."""
    try:
        row: dict[str, Any] = json.loads(entry.body)
        return Answered(
            seq=entry.seq,
            part_id=str(row["part_id"]),
            day=(datetime.fromisoformat(row["decided_at"]).date() - _EPOCH).days,
            model=str(row["model_sha256"]),
            outcome=Outcome(row["verdict"]),
            label=row["label"],
        )
    except (ValueError, TypeError, KeyError):
        return Answered(
            seq=entry.seq, part_id="", day=0, model="", outcome=Outcome.NOT_INSPECTED, label=None
        )


def _midnight(day: int) -> datetime:
    return datetime.combine(_EPOCH + timedelta(days=day), datetime.min.time(), UTC)
