"""Every verdict of a station, on disk: the record, and the outbox of what the broker has not answered.

Owns the numbering, the durability (one transaction with a full sync per batch), the hash chain and
how long verdicts are kept. It does not publish; `edge_runtime.delivery.delivery` does.

The invariants:
- Verdicts are written once and never changed. What the broker said stands beside them, in `answer`.
- `next_seq` is one more than the highest seq ever committed, across restarts.
- The verdicts after the *anchor* are gapless and chained from the anchor's link to the head's.
- Only acknowledged verdicts are pruned, oldest first; the anchor then moves up to the last of them.
  One that the broker refused stays for good.

**Threads.** `append`, `flush` and `close` write, under one lock that is held during the sync.
`unanswered` and `stored` read on a connection of their own and never wait for a writer's disk.
`acknowledge` and `refuse` only note in memory; the next `append` or `flush` writes it down. A crash
in between re-sends, and loses nothing.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge_runtime.contracts.verdict import LARGEST_SEQ
from edge_runtime.errors import DiskFullError, StateError
from edge_runtime.journal import schema
from edge_runtime.journal.chain import Head, link
from edge_runtime.journal.database import Database
from edge_runtime.journal.guard import EndMark, Reserve
from edge_runtime.journal.integrity import verified

_LOG = logging.getLogger(__name__)

_PRUNED_AT_ONCE: Final = 2000
"""Verdicts per transaction at most: an append in the meantime waits for no longer than that."""
_AGED_EVERY_S: Final = 60.0
"""Pause between two prunings by age. So slow on purpose: a clock that is wrong by a year costs 2,000
verdicts a minute and not all of them at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One verdict in the journal."""

    seq: int
    body: bytes
    """The `Verdict` as JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long acknowledged verdicts are kept; whichever limit is met first."""

    keep_s: float = 365 * 86_400.0
    """Seconds since the commit, on the wall clock."""
    keep_bytes: int = 10_000_000_000
    """Size of the journal."""
    prune_when_full: bool = True
    """On a full disk, make room with the oldest acknowledged ones; else refuse."""


class Journal:
    """The journal in a folder, for this process alone. Raises StateError when that cannot be."""

    def __init__(
        self,
        folder: Path,
        *,
        retention: Retention | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._retention = retention or Retention()
        self._clock = clock
        self._database = Database(
            folder,
            "journal",
            formerly="outbox",
            application_id=schema.APPLICATION_ID,
            migrations=schema.MIGRATIONS,
        )
        self._reserve = Reserve(folder / "journal.reserve")
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._memory = threading.Lock()
        """Guards what follows; never held during I/O."""
        self._settled: dict[int, _Answer] = {}
        """Answered and not yet written down."""
        self._closed = False
        self._aged_at = time.monotonic()
        try:
            with self._database.explained("open"):
                self._end = EndMark(folder / "journal.head")
            try:
                opened = verified(self._database, self._end)
            except BaseException:
                self._end.close()
                raise
        except BaseException:
            self._database.close()
            raise
        self._state = opened.head
        self._beyond = set(opened.answered_beyond)
        """Answered and written down, but above `answered_to`."""
        self._pending = opened.pending
        self._refused = opened.refused
        self._reserve.take()

    @property
    def next_seq(self) -> int:
        """The number that the next verdict must have."""
        with self._memory:
            return self._state.last_seq + 1

    @property
    def pending_count(self) -> int:
        """Verdicts that the broker has neither acknowledged nor refused."""
        with self._memory:
            return self._pending

    @property
    def refused_count(self) -> int:
        """Verdicts that the broker refused for good, of all runs."""
        with self._memory:
            return self._refused

    @property
    def head(self) -> Head:
        """What the journal holds, and the hash that stands for all of it."""
        with self._memory:
            return Head(
                first_seq=self._state.anchor_seq + 1,
                last_seq=self._state.last_seq,
                sha256=self._state.last_link,
            )

    # --- the station's side ------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit verdicts, all or none, in one synced transaction; their seqs continue from
        `next_seq`.

        Raises StateError when the disk does not take them (DiskFullError when it has no room): the
        seqs are not used up, try again.
        """
        if not entries:
            return
        with self._writing:
            try:
                self._append(entries)
            except DiskFullError:
                if not (self._retention.prune_when_full and self._make_room()):
                    raise
                self._append(entries)

    def _append(self, entries: Sequence[Entry]) -> None:
        settled, before = self._noted()
        at_ms = int(self._clock() * 1000)
        newest, rows = before.last_link, []
        for expected, entry in enumerate(entries, start=before.last_seq + 1):
            if entry.seq != expected:
                raise ValueError(f"expected seq {expected}, got {entry.seq}")
            newest = link(newest, entry.seq, entry.body)
            rows.append((entry.seq, at_ms, newest, entry.body))
        after = replace(
            before,
            last_seq=entries[-1].seq,
            last_link=newest,
            answered_to=self._answered_to(before, settled),
        )
        with self._database.transaction() as writer:
            writer.executemany(
                "INSERT INTO verdict (seq, at, sha256, body) VALUES (?, ?, ?, ?)", rows
            )
            _write_down(settled, writer)
            schema.write_head(after, writer)
        # Before anybody can read and publish them, so that a published number is never used again. The
        # verdicts are safe already: a mark that stays behind only watches over less.
        with suppress(OSError):
            self._end.write(after.last_seq, newest)
        self._became(before, after, settled, appended=len(entries))

    # --- the delivery's side -----------------------------------------------------------------------

    def unanswered(self, after: int, limit: int, *, up_to: int = LARGEST_SEQ) -> tuple[Entry, ...]:
        """Up to `limit` unanswered verdicts with `after` < seq <= `up_to`, in order."""
        found: list[Entry] = []
        with self._reading, self._database.explained("read"):
            settled, state = self._noted()
            rows = self._database.reader.execute(
                "SELECT seq, body FROM verdict WHERE seq > ? AND seq <= ? AND NOT EXISTS "
                "(SELECT 1 FROM answer WHERE answer.seq = verdict.seq) ORDER BY seq",
                (max(after, state.answered_to), min(up_to, state.last_seq)),
            )
            with closing(rows):
                for seq, body in rows:
                    if len(found) == limit:
                        break
                    if seq not in settled:
                        found.append(Entry(seq=seq, body=body))
        return tuple(found)

    def stored(self, first: int, last: int, limit: int) -> tuple[Entry, ...]:
        """Up to `limit` verdicts with `first` <= seq <= `last`, answered or not, in order."""
        with self._reading, self._database.explained("read"):
            rows = self._database.reader.execute(
                "SELECT seq, body FROM verdict WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
                (first, last, limit),
            ).fetchall()
        return tuple(Entry(seq=seq, body=body) for seq, body in rows)

    def acknowledge(self, seq: int) -> None:
        """The broker has taken the verdict: it need not be sent again."""
        self._settle(seq, None)

    def refuse(self, seq: int, reason: str) -> None:
        """The broker refused the verdict for good: keep it, never send it again."""
        self._settle(seq, reason)

    def _settle(self, seq: int, refusal: str | None) -> None:
        answer = _Answer(at_ms=int(self._clock() * 1000), refusal=refusal)
        with self._memory:
            self._settled[seq] = answer
            self._pending -= 1
            self._refused += refusal is not None

    def flush(self) -> None:
        """Write down the answers noted so far and prune what need not be kept any longer.

        Raises StateError when the disk does not take it.
        """
        with self._writing:
            settled, before = self._noted()
            if settled:
                after = replace(before, answered_to=self._answered_to(before, settled))
                with self._database.transaction() as writer:
                    _write_down(settled, writer)
                    schema.write_head(after, writer)
                self._became(before, after, settled)
            self._prune_what_is_due()
        with self._reading:
            self._database.checkpoint()

    def close(self) -> None:
        """Flush, close and unlock; safe to call twice. What cannot be written down is sent
        again."""
        if self._closed:
            return
        self._closed = True
        with suppress(StateError):
            self.flush()
        with self._writing, self._reading:
            self._end.close()
            self._database.close()

    # --- retention ---------------------------------------------------------------------------------

    def _prune_what_is_due(self) -> None:
        with self._database.explained("read"):
            too_large = self._database.used_bytes() > self._retention.keep_bytes
        now = time.monotonic()
        if too_large:
            self._prune(older_than_ms=None)
        elif now >= self._aged_at + _AGED_EVERY_S:
            self._aged_at = now
            self._prune(older_than_ms=int((self._clock() - self._retention.keep_s) * 1000))

    def _prune(self, *, older_than_ms: int | None, limit: int = _PRUNED_AT_ONCE) -> int:
        """Delete the oldest acknowledged verdicts, `limit` at most; how many those were."""
        with self._memory:
            before = self._state
        with self._database.explained("read"):
            rows = self._database.writer.execute(
                "SELECT seq, at, sha256 FROM verdict WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
                (before.anchor_seq, before.answered_to, limit),
            ).fetchall()
        due = [(seq, key) for seq, at, key in rows if older_than_ms is None or at < older_than_ms]
        if not due:
            return 0
        last, key = due[-1]
        after = replace(before, anchor_seq=last, anchor_link=key)
        with self._database.transaction() as writer:
            pruned = writer.execute(
                "DELETE FROM verdict WHERE seq IN "
                "(SELECT seq FROM answer WHERE seq <= ? AND refusal IS NULL)",
                (last,),
            ).rowcount
            writer.execute("DELETE FROM answer WHERE seq <= ? AND refusal IS NULL", (last,))
            schema.write_head(after, writer)
        with self._memory:
            self._state = after
        return pruned

    def _make_room(self) -> bool:
        """Free pages on a full disk; True if it is worth trying again."""
        self._reserve.give_up()
        pruned = 0
        try:
            with suppress(DiskFullError):
                self._database.checkpoint("TRUNCATE")
            pruned = self._prune(older_than_ms=None)
            self._database.checkpoint("TRUNCATE")
        except StateError as exc:
            _LOG.warning("cannot make room: %s", exc)
        finally:
            self._reserve.take()
        if pruned:
            _LOG.warning(
                "the disk is full: %d acknowledged verdicts were pruned to make room", pruned
            )
        return pruned > 0

    # --- what is in memory -------------------------------------------------------------------------

    def _noted(self) -> tuple["dict[int, _Answer]", schema.HeadRow]:
        with self._memory:
            return dict(self._settled), self._state

    def _answered_to(self, state: schema.HeadRow, settled: "Mapping[int, _Answer]") -> int:
        """The mark below which all is answered, once `settled` is written down."""
        seq = state.answered_to
        while seq + 1 in self._beyond or seq + 1 in settled:
            seq += 1
        return seq

    def _became(
        self,
        before: schema.HeadRow,
        after: schema.HeadRow,
        settled: "Mapping[int, _Answer]",
        *,
        appended: int = 0,
    ) -> None:
        """Take over what a transaction has made durable."""
        self._beyond.update(seq for seq in settled if seq > after.answered_to)
        self._beyond.difference_update(range(before.answered_to + 1, after.answered_to + 1))
        with self._memory:
            self._state = after
            self._pending += appended
            for seq in settled:
                del self._settled[seq]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What the broker said to a verdict, and when (unix time, milliseconds)."""

    at_ms: int
    refusal: str | None


def _write_down(settled: Mapping[int, _Answer], writer: sqlite3.Connection) -> None:
    writer.executemany(
        "INSERT INTO answer (seq, at, refusal, mark) VALUES (?, ?, ?, ?)",
        (
            (
                seq,
                answer.at_ms,
                answer.refusal,
                schema.answer_mark(seq, answer.at_ms, answer.refusal),
            )
            for seq, answer in settled.items()
        ),
    )
