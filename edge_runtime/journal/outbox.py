"""Verdicts that the broker has not acknowledged yet, on disk.

Owns the station's numbering and the durability of verdicts: one transaction with a full sync per
batch. It does not publish; `edge_runtime.mes.delivery` does.

The invariant: `next_seq` is one more than the highest seq ever committed, across restarts. A
verdict is here from its commit until the broker has acknowledged it; one that the broker refused
stays for good.

**Threads.** `append`, `flush` and `close` write, under one lock that is held during the sync.
`pending` reads on a connection of its own and never waits for a writer's disk. `acknowledge` and
`refuse` only note in memory; the next `append` or `flush` writes it down. A crash in between
re-sends, and loses nothing.
"""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.errors import StateError
from edge_runtime.journal.database import Database

_FILE = "outbox.sqlite"
_APPLICATION_ID = 0x45644F78  # "EdOx", so that a foreign SQLite file is told apart
_MIGRATIONS = (
    # To schema 1. `head` keeps the numbering when the last verdict has been delivered and deleted.
    """
    CREATE TABLE head (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        last_seq INTEGER NOT NULL
    );
    INSERT INTO head (id, last_seq) VALUES (1, 0);
    CREATE TABLE verdict (
        seq INTEGER PRIMARY KEY,
        body BLOB NOT NULL,
        refusal TEXT
    );
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One verdict in the outbox."""

    seq: int
    body: bytes
    """The `Verdict` as JSON."""


class Outbox:
    """The outbox in a folder, for this process alone. Raises StateError when that cannot be."""

    def __init__(self, folder: Path) -> None:
        self._database = Database(
            folder, _FILE, application_id=_APPLICATION_ID, migrations=_MIGRATIONS
        )
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._memory = threading.Lock()
        """Guards what follows; never held during I/O."""
        self._settled: dict[int, str | None] = {}
        """Answered and not yet written down: the refusal, or None where acknowledged."""
        self._last_seq = 0
        self._pending = 0
        self._refused = 0
        self._closed = False
        try:
            self._load()
        except BaseException:
            self._database.close()
            raise

    @property
    def next_seq(self) -> int:
        """The number that the next verdict must have."""
        with self._memory:
            return self._last_seq + 1

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

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit verdicts, all or none, in one synced transaction; their seqs continue from
        `next_seq`.

        Raises StateError when the disk does not take them: the seqs are not used up, try again.
        """
        if not entries:
            return
        with self._writing:
            expected = self.next_seq
            for offset, entry in enumerate(entries):
                if entry.seq != expected + offset:
                    raise ValueError(f"expected seq {expected + offset}, got {entry.seq}")
            settled = self._noted()
            with self._database.transaction() as writer:
                writer.executemany(
                    "INSERT INTO verdict (seq, body) VALUES (?, ?)",
                    ((entry.seq, entry.body) for entry in entries),
                )
                writer.execute("UPDATE head SET last_seq = ?", (entries[-1].seq,))
                _write_down(settled, writer)
            with self._memory:
                self._last_seq += len(entries)
                self._pending += len(entries)
                self._forget(settled)

    def pending(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Up to `limit` unanswered verdicts with seq > `after`, in order."""
        found: list[Entry] = []
        with self._reading, self._database.explained("read"):
            settled = self._noted()
            rows = self._database.reader.execute(
                "SELECT seq, body FROM verdict WHERE seq > ? AND refusal IS NULL ORDER BY seq",
                (after,),
            )
            with closing(rows):
                for seq, body in rows:
                    if len(found) == limit:
                        break
                    if seq not in settled:
                        found.append(Entry(seq=seq, body=body))
        return tuple(found)

    def acknowledge(self, seq: int) -> None:
        """The broker has taken the verdict: it need not be sent again."""
        with self._memory:
            self._settled[seq] = None
            self._pending -= 1

    def refuse(self, seq: int, reason: str) -> None:
        """The broker refused the verdict for good: keep it, never send it again."""
        with self._memory:
            self._settled[seq] = reason
            self._pending -= 1
            self._refused += 1

    def flush(self) -> None:
        """Write down the answers noted so far; raises StateError when the disk does not take
        them."""
        with self._writing:
            settled = self._noted()
            if settled:
                with self._database.transaction() as writer:
                    _write_down(settled, writer)
                with self._memory:
                    self._forget(settled)

    def close(self) -> None:
        """Flush, close and unlock; safe to call twice. What cannot be written down is sent
        again."""
        if self._closed:
            return
        self._closed = True
        with suppress(StateError):
            self.flush()
        with self._writing, self._reading:
            self._database.close()

    def _load(self) -> None:
        with self._database.explained("read"):
            reader = self._database.reader
            head = reader.execute("SELECT last_seq FROM head").fetchone()
            self._pending, self._refused, highest = reader.execute(
                "SELECT count(*) - count(refusal), count(refusal), coalesce(max(seq), 0) FROM verdict"
            ).fetchone()
        if head is None:
            raise self._database.damaged("its last number is gone")
        self._last_seq = head[0]
        if highest > self._last_seq:
            raise self._database.damaged(
                f"it holds verdict {highest}, beyond its last number {self._last_seq}"
            )

    def _noted(self) -> dict[int, str | None]:
        with self._memory:
            return dict(self._settled)

    def _forget(self, settled: Mapping[int, str | None]) -> None:
        for seq in settled:
            del self._settled[seq]


def _write_down(settled: Mapping[int, str | None], writer: sqlite3.Connection) -> None:
    writer.executemany(
        "DELETE FROM verdict WHERE seq = ?",
        ((seq,) for seq, refusal in settled.items() if refusal is None),
    )
    writer.executemany(
        "UPDATE verdict SET refusal = ? WHERE seq = ?",
        ((refusal, seq) for seq, refusal in settled.items() if refusal is not None),
    )
