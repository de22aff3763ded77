"""Verdicts that the broker has not acknowledged yet, on disk.

Owns the station's numbering and the durability of verdicts: one SQLite file in WAL mode, one
transaction with a full sync per batch. It does not publish; `edge_runtime.mes.delivery` does.

The invariant: `next_seq` is one more than the highest seq ever committed, across restarts. A
verdict is here from its commit until the broker has acknowledged it; one that the broker refused
stays for good.

**Threads.** `append`, `flush` and `close` write, under one lock that is held during the sync.
`pending` reads on a connection of its own and never waits for a writer's disk. `acknowledge` and
`refuse` only note in memory; the next `append` or `flush` writes it down. A crash in between
re-sends, and loses nothing.
"""

import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_runtime.errors import StateError

_FILE = "outbox.sqlite"
_LOCK_FILE = "outbox.lock"
_APPLICATION_ID = 0x45644F78  # "EdOx", so that a foreign SQLite file is told apart

_MIGRATIONS: tuple[str, ...] = (
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
"""Statements that lead from schema n to n + 1; the file's `user_version` is its schema."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One verdict in the outbox."""

    seq: int
    body: bytes
    """The `Verdict` as JSON, its `timings_ms.publish` still null."""


class Outbox:
    """The outbox in a folder, for this process alone. Raises StateError when that cannot be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / _FILE
        self._memory = threading.Lock()
        """Guards what is known in memory; never held during I/O."""
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._settled: dict[int, str | None] = {}
        """Answered and not yet written down: refusal, or None where acknowledged."""
        self._closed = False
        self._last_seq = 0
        self._pending = 0
        self._refused = 0
        self._lock_file = _lock(folder)
        try:
            with self._explained("open"):
                if not self._path.exists():
                    _create(self._path)
                _refuse_empty(self._path)
                self._writer = _connect(self._path)
                try:
                    self._check()
                    self._migrate()
                    self._load()
                    self._reader = _connect(self._path)
                except BaseException:
                    self._writer.close()
                    raise
        except BaseException:
            self._lock_file.close()
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

    @property
    def unwritten_count(self) -> int:
        """Answers that are noted in memory alone until the next `append` or `flush`."""
        with self._memory:
            return len(self._settled)

    def append(self, entries: Sequence[Entry]) -> None:
        """Commit verdicts, all or none, in one synced transaction; their seqs continue from
        `next_seq`.

        Raises StateError when the disk does not take them: the seqs are not used up, try again.
        """
        with self._writing:
            expected = self.next_seq
            for offset, entry in enumerate(entries):
                if entry.seq != expected + offset:
                    raise ValueError(f"expected seq {expected + offset}, got {entry.seq}")
            with self._explained(f"write {len(entries)} verdicts"), self._transaction() as settled:
                self._writer.executemany(
                    "INSERT INTO verdict (seq, body) VALUES (?, ?)",
                    ((entry.seq, entry.body) for entry in entries),
                )
                if entries:
                    self._writer.execute("UPDATE head SET last_seq = ?", (entries[-1].seq,))
            with self._memory:
                self._last_seq += len(entries)
                self._pending += len(entries)
                self._forget(settled)

    def pending(self, after: int, limit: int) -> tuple[Entry, ...]:
        """Up to `limit` unanswered verdicts with seq > `after`, in order."""
        found: list[Entry] = []
        with self._reading, self._explained("read"):
            with self._memory:
                settled = set(self._settled)
            rows = self._reader.execute(
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
            if not self.unwritten_count:
                return
            with self._explained("write acknowledgements"), self._transaction() as settled:
                pass
            with self._memory:
                self._forget(settled)

    def close(self) -> None:
        """Flush, close and unlock; safe to call twice. Answers that cannot be written are sent
        again."""
        if self._closed:
            return
        self._closed = True
        with suppress(StateError):
            self.flush()
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()
            self._lock_file.close()

    @contextmanager
    def _transaction(self) -> Iterator[dict[int, str | None]]:
        """A transaction that also writes down the answers noted so far; gives those."""
        with self._memory:
            settled = dict(self._settled)
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield settled
            self._writer.executemany(
                "DELETE FROM verdict WHERE seq = ?",
                ((seq,) for seq, refusal in settled.items() if refusal is None),
            )
            self._writer.executemany(
                "UPDATE verdict SET refusal = ? WHERE seq = ?",
                ((refusal, seq) for seq, refusal in settled.items() if refusal is not None),
            )
            self._writer.execute("COMMIT")
        except BaseException:
            if self._writer.in_transaction:
                # After some errors SQLite has rolled back by itself; the first error is the one to tell.
                with suppress(sqlite3.Error):
                    self._writer.execute("ROLLBACK")
            raise

    def _forget(self, settled: dict[int, str | None]) -> None:
        for seq in settled:
            del self._settled[seq]

    def _check(self) -> None:
        """Refuse a file that is not ours, is newer than this program, or is damaged."""
        if self._pragma("application_id") != _APPLICATION_ID:
            raise StateError(
                f"{self._path} is not an outbox of edge-inspect: choose another --state-dir"
            )
        schema = self._pragma("user_version")
        if schema > len(_MIGRATIONS):
            raise StateError(
                f"{self._path} was written by a newer edge-inspect (schema {schema}, this one knows "
                f"{len(_MIGRATIONS)}): install that version again"
            )
        (verdict,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise StateError(_damaged(self._path, str(verdict)))

    def _migrate(self) -> None:
        for schema in range(self._pragma("user_version"), len(_MIGRATIONS)):
            self._writer.executescript(
                f"BEGIN IMMEDIATE; {_MIGRATIONS[schema]} PRAGMA user_version = {schema + 1}; COMMIT;"
            )

    def _load(self) -> None:
        (self._last_seq,) = self._writer.execute("SELECT last_seq FROM head").fetchone()
        self._pending, self._refused, highest = self._writer.execute(
            "SELECT count(*) - count(refusal), count(refusal), coalesce(max(seq), 0) FROM verdict"
        ).fetchone()
        if highest > self._last_seq:
            raise StateError(
                _damaged(
                    self._path, f"verdict {highest} is beyond the last number {self._last_seq}"
                )
            )

    def _pragma(self, name: str) -> int:
        (value,) = self._writer.execute(f"PRAGMA {name}").fetchone()
        return int(value)

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        """Translate what SQLite and the system say into one line that names file and remedy."""
        try:
            yield
        except sqlite3.Error as exc:
            raise StateError(_explanation(self._path, action, exc)) from exc
        except OSError as exc:
            raise StateError(
                f"{self._path}: cannot {action}: {exc.strerror}: check the folder's permissions and "
                "disk, or choose another --state-dir"
            ) from exc


def _lock(folder: Path) -> IO[str]:
    """Take the folder for this process, for as long as the returned file stays open."""
    path = folder / _LOCK_FILE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="ascii")
    except OSError as exc:
        raise StateError(
            f"state folder {folder} cannot be used: {exc.strerror}: make it writable for this user or "
            "choose another with --state-dir"
        ) from exc
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise StateError(
            f"state folder {folder} is in use by another edge-inspect (process {holder}): stop that "
            "one, or give this station a --state-dir of its own"
        ) from exc
    with suppress(OSError):  # who holds the lock is a courtesy; a full disk must not forbid it
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file


def _create(path: Path) -> None:
    """Make an empty outbox aside and rename it, so that a file under the name is always
    complete."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with closing(_connect(aside)) as database:
        database.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
    aside.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _refuse_empty(path: Path) -> None:
    """SQLite would take a file that was truncated to nothing for a new one."""
    if path.stat().st_size == 0:
        raise StateError(_damaged(path, "it is empty"))


def _connect(path: Path) -> sqlite3.Connection:
    # Locks of our own order the threads; transactions are begun and ended by hand.
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except BaseException:
        database.close()
        raise
    return database


def _explanation(path: Path, action: str, error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name == "SQLITE_FULL":
        return f"{path}: cannot {action}: the disk is full: free space on it"
    if name.startswith("SQLITE_READONLY"):
        return f"{path}: cannot {action}: it is read-only: make folder and disk writable"
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        return _damaged(path, str(error))
    return f"{path}: cannot {action}: {error} ({name or 'SQLite'}): check the disk and the folder"


def _damaged(path: Path, detail: str) -> str:
    return (
        f"{path} is damaged ({detail}): restore the folder from a backup, or move it away to begin a "
        "new numbering at 1; verdicts in it that were not acknowledged then never reach the broker"
    )
