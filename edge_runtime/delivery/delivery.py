"""Moves committed verdicts from the journal to the broker, for as long as it takes.

Owns the thread between the two. It decides nothing about connections (the publisher does) and
settles nothing before the broker has answered (the journal notes a PUBACK). Live verdicts go first;
the backlog and what subscribers ask to see again go out in measure beside them. Within one run every
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

from edge_runtime.contracts.replay import ReplayAnswer
from edge_runtime.contracts.verdict import DeliveryNote, Lane, message
from edge_runtime.delivery.lanes import LaneReader
from edge_runtime.delivery.replay import ReplayDesk, ReplayReader
from edge_runtime.errors import StateError
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.base import Acknowledgement, Message, Publisher
from edge_runtime.mes.token_bucket import TokenBucket
from edge_runtime.mes.topics import Topics

_LOG = logging.getLogger(__name__)

_FLUSH_S = 1.0
"""Answers that no commit has taken along are written down after so long at most."""
_BLOCKED_S = 0.1
"""How soon to look again for a connection; nothing announces one."""
_TIMED = 4096
"""So many verdicts at most are timed by the monotonic clock, so that an outage costs no memory."""
_MEASURED_IN_FLIGHT = 8
"""Of backlog and replays so many at most are unanswered at a time. Brokers often allow 20 in all, and
a live verdict must find room even where the answers come late."""
_UNSENT_ANSWERS = 100


class Delivery:
    """Delivers a journal over a publisher.

    `backlog_rate` is in verdicts per second, backlog and replays together. `replay` grants replay
    requests. `on_acknowledged(seq, now)` is told of each verdict the broker has taken, with the
    monotonic time in seconds, on the publisher's thread; it must be quick.
    """

    def __init__(
        self,
        journal: Journal,
        publisher: Publisher,
        topics: Topics,
        *,
        backlog_rate: float = 500.0,
        replay: bool = False,
        on_acknowledged: Callable[[int, float], None] = lambda _seq, _now: None,
    ) -> None:
        self._journal = journal
        self._publisher = publisher
        self._topics = topics
        self._on_acknowledged = on_acknowledged
        self._changed = threading.Condition()
        """Guards what follows; notified when the thread or `drain` may go on."""
        self._news = False
        self._urgent = False
        self._waiting = False
        self._stopping = False
        self._decided: dict[int, float] = {}
        self._in_flight: dict[tuple[str, int], Lane | None] = {}
        """Handed over and not answered, by topic and number."""
        self._acknowledged = 0
        self._refused = 0
        self._problems: dict[str, str] = {}
        self._desk = ReplayDesk(enabled=replay)
        self._answers: deque[ReplayAnswer] = deque(maxlen=_UNSENT_ANSWERS)
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        # The thread's own:
        self._connection = 0
        self._lanes = LaneReader(journal)
        self._replays = ReplayReader(journal, self._next_granted)
        self._measure = TokenBucket(rate=backlog_rate, burst=max(1.0, backlog_rate / 10))
        self._answers_sent = 0

    @property
    def acknowledged(self) -> int:
        """Verdicts that the broker has taken since the start, replays not counted."""
        with self._changed:
            return self._acknowledged

    @property
    def refused(self) -> int:
        """Verdicts that the broker has refused since the start."""
        with self._changed:
            return self._refused

    @property
    def requests_ignored(self) -> int:
        """Replay requests that came too fast to be answered."""
        with self._changed:
            return self._desk.ignored

    @property
    def problem(self) -> str | None:
        """What keeps verdicts in the journal on this side of the network, in one line; usually
        None."""
        with self._changed:
            return "; ".join(self._problems.values()) or None

    def start(self) -> None:
        """Start the publisher and begin with what earlier runs have left."""
        self._publisher.listen(self._topics.replay_set, self._on_request)
        self._publisher.start(self._on_answer)
        self._thread.start()

    def time_verdicts(self, decided: Mapping[int, float]) -> None:
        """Verdicts are about to be committed: their moments of decision (seq: monotonic, seconds).

        Comes before the commit: the thread may find a verdict in the journal before `notify`, and the
        wall clock, which it would go by instead, may have been set.
        """
        with self._changed:
            for seq, moment in decided.items():
                if len(self._decided) < _TIMED:
                    self._decided[seq] = moment

    def notify(self) -> None:
        """Verdicts were committed."""
        with self._changed:
            self._news = self._urgent = True
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

    # --- on the publisher's thread -----------------------------------------------------------------

    def _on_answer(self, answer: Acknowledgement) -> None:
        is_verdict = answer.topic == self._topics.verdict
        if answer.refusal is not None:
            _LOG.warning(
                "the broker refused %s %d: %s", answer.topic, answer.number, answer.refusal
            )
        if is_verdict and answer.refusal is None:
            self._journal.acknowledge(answer.number)
            self._on_acknowledged(answer.number, time.monotonic())
        elif is_verdict:
            self._journal.refuse(answer.number, str(answer.refusal))
        with self._changed:
            self._in_flight.pop((answer.topic, answer.number), None)
            if is_verdict and answer.refusal is None:
                self._acknowledged += 1
            elif is_verdict:
                self._refused += 1
            # An answer makes room for the waiting thread, and the last one ends `drain`.
            if self._waiting or self._journal.pending_count == 0:
                self._news = True
                self._changed.notify_all()

    def _on_request(self, request: Message) -> None:
        head, now = self._journal.head, time.monotonic()
        with self._changed:
            answer = self._desk.ask(request.payload, head, now)
            if answer is not None:
                self._answers.append(answer)
                self._news = self._urgent = True
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
                self._waiting = True
            patience_s = self._move()
            now = time.monotonic()
            if now >= flush_at:
                self._flush()
                flush_at = now + _FLUSH_S
            with self._changed:
                self._waiting = patience_s < _FLUSH_S
                self._changed.wait_for(lambda: self._stopping or self._news, patience_s)

    def _move(self) -> float:
        """Hand over what the publisher takes; seconds after which to try again without news."""
        if not self._publisher.connected:
            return _BLOCKED_S
        self._heed_connection()
        try:
            patience_s = self._send()
        except StateError as exc:
            self._report("read", str(exc))
            return _FLUSH_S
        self._report("read", None)
        return patience_s

    def _heed_connection(self) -> None:
        connection = self._publisher.connections
        if connection != self._connection:
            self._connection = connection
            with self._changed:
                held = [
                    number for topic, number in self._in_flight if topic == self._topics.verdict
                ]
            self._lanes.connected(self._journal.next_seq - 1, held)

    def _send(self) -> float:
        while not self._stopping:
            with self._changed:
                self._urgent = False
            if not self._send_live() or not self._send_answers():
                return _BLOCKED_S
            patience_s = self._send_measured()
            if patience_s is not None:
                return patience_s
        return _FLUSH_S

    def _send_live(self) -> bool:
        while (entry := self._lanes.peek(Lane.LIVE)) is not None:
            if not self._hand_over(entry, Lane.LIVE):
                return False
            self._lanes.take(Lane.LIVE)
        return True

    def _send_answers(self) -> bool:
        while self._answers:
            number = self._answers_sent + 1
            payload = self._answers[0].to_json().encode()
            if not self._publish(number, self._topics.replay_answer, payload, None):
                return False
            self._answers_sent = number
            with self._changed:
                self._answers.popleft()
        return True

    def _send_measured(self) -> float | None:
        """Backlog, then replays; seconds to wait, or None as soon as something goes before them."""
        while not self._is_urgent():
            backlog = self._lanes.peek(Lane.BACKLOG)
            entry = backlog or self._replays.peek()
            if entry is None:
                return _FLUSH_S
            now = time.monotonic()
            if self._measured_in_flight() >= _MEASURED_IN_FLIGHT:
                return _BLOCKED_S
            if wait_s := self._measure.wait_s(now):
                return min(wait_s, _BLOCKED_S)
            if not self._hand_over(entry, Lane.BACKLOG if backlog else Lane.REPLAY):
                return _BLOCKED_S
            self._measure.take(now)
            if backlog:
                self._lanes.take(Lane.BACKLOG)
            else:
                self._replays.take()
        return None

    def _hand_over(self, entry: Entry, lane: Lane) -> bool:
        """Give a verdict to the publisher; False if it does not take it now."""
        try:
            note = DeliveryNote(lane=lane, waited_ms=round(self._waited_ms(entry), 3))
        except (ValueError, TypeError, KeyError):
            refusal = "not readable as a verdict in the journal"
            if lane is not Lane.REPLAY:
                self._on_answer(
                    Acknowledgement(topic=self._topics.verdict, number=entry.seq, refusal=refusal)
                )
            return True
        topic = self._topics.replay if lane is Lane.REPLAY else self._topics.verdict
        return self._publish(entry.seq, topic, message(entry.body, note), lane)

    def _publish(self, number: int, topic: str, payload: bytes, lane: Lane | None) -> bool:
        key = (topic, number)
        with self._changed:
            if key in self._in_flight:
                return True
            # Noted first, since the answer may overtake whatever comes after.
            self._in_flight[key] = lane
        taken = self._publisher.publish(number, topic, payload)
        with self._changed:
            if not taken:
                del self._in_flight[key]
            elif lane is not None:
                self._decided.pop(number, None)
        return taken

    def _waited_ms(self, entry: Entry) -> float:
        with self._changed:
            decided = self._decided.get(entry.seq)
        if decided is not None:
            return (time.monotonic() - decided) * 1000
        # Decided by an earlier run: its monotonic clock is gone, and the wall clock may have been set.
        decided_at = datetime.fromisoformat(json.loads(entry.body)["decided_at"])
        return max(0.0, (datetime.now(UTC) - decided_at).total_seconds() * 1000)

    def _next_granted(self) -> range | None:
        with self._changed:
            return self._desk.next()

    def _is_urgent(self) -> bool:
        with self._changed:
            return self._urgent or self._stopping

    def _measured_in_flight(self) -> int:
        with self._changed:
            return sum(lane is not Lane.LIVE for lane in self._in_flight.values())

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
