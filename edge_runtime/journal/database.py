"""The SQLite file under the journal: held by one process, checked, brought to the present schema.

Owns the file and what its failures mean to a person; which rows it holds is the journal's business.
Every write is a transaction of the one writing connection, in WAL mode with a full sync at each
commit.
"""

import errno
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Final, TypeAlias

from edge_runtime.errors import DiskFullError, StateError
from edge_runtime.written_aside import sync

Migration: TypeAlias = Callable[[sqlite3.Connection], None]
"""Leads from one schema to the next, within a transaction that it neither begins nor ends."""

_CHECK_S: Final = 2.0
"""Time for SQLite's own check of the file; a large one is looked through as far as that goes."""


class Database:
    """The file `NAME.sqlite` in a folder that this process holds alone; StateError if that cannot be.

    `migrations[n]` leads from schema n to n + 1. `writer` and `reader` are open connections: one
    thread at a time on each, the reader never waits for the writer. A file under the name `formerly`
    is taken over.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        formerly: str,
        application_id: int,
        migrations: Sequence[Migration],
    ) -> None:
        self.path = folder / f"{name}.sqlite"
        self._lock = _hold(folder, name)
        try:
            with self.explained("open"):
                if not self.path.exists():
                    _take_over(folder, formerly, self.path)
                self.created = not self.path.exists()
                if self.created:
                    _create(self.path, application_id)
                _refuse_empty(self.path)
                self.writer = _connect(self.path)
                try:
                    self._check(application_id, len(migrations))
                    self._migrate(migrations)
                    self.reader = _connect(self.path)
                except BaseException:
                    self.writer.close()
                    raise
        except BaseException:
            self._lock.close()
            raise

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing, durable when it returns; StateError when the disk does not take it."""
        with self.explained("write"):
            self.writer.execute("BEGIN IMMEDIATE")
            try:
                yield self.writer
                self.writer.execute("COMMIT")
            except BaseException:
                # After some errors SQLite has rolled back by itself; the first error is the one to tell.
                if self.writer.in_transaction:
                    with suppress(sqlite3.Error):
                        self.writer.execute("ROLLBACK")
                raise

    @contextmanager
    def explained(self, action: str) -> Iterator[None]:
        """Translate what SQLite and the system say into one line that names file and remedy."""
        try:
            yield
        except sqlite3.Error as exc:
            full = getattr(exc, "sqlite_errorname", "") == "SQLITE_FULL"
            kind = DiskFullError if full else StateError
            raise kind(_explanation(self.path, action, exc)) from exc
        except OSError as exc:
            kind = DiskFullError if exc.errno == errno.ENOSPC else StateError
            raise kind(
                f"{self.path}: cannot {action}: {exc.strerror}: check the folder's permissions and "
                "disk, or choose another --state-dir"
            ) from exc

    def damaged(self, detail: str) -> StateError:
        """The error that says so, with the remedy."""
        return StateError(_damaged(self.path, detail))

    def used_bytes(self) -> int:
        """Size of what the file holds, free pages not counted."""
        pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._pragma("page_size")

    def checkpoint(self, mode: str = "PASSIVE") -> None:
        """Move the write-ahead log into the file, as far as nobody is in the way.

        Called often by a reading thread, so that the writer need not do it within a commit.
        """
        connection = self.reader if mode == "PASSIVE" else self.writer
        with self.explained("write"):
            connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()

    def close(self) -> None:
        """Close both connections and let other processes in."""
        self.reader.close()
        self.writer.close()
        self._lock.close()

    def _check(self, application_id: int, newest: int) -> None:
        """Refuse a file that is foreign, newer than this program, or damaged."""
        if self._pragma("application_id") != application_id:
            raise StateError(
                f"{self.path} is not a journal of edge-inspect: choose another --state-dir"
            )
        schema = self._pragma("user_version")
        if schema > newest:
            raise StateError(
                f"{self.path} was written by a newer edge-inspect (schema {schema}, this one knows "
                f"{newest}): install that version again"
            )
        finding = self._quick_check()
        if finding != "ok":
            raise self.damaged(finding.replace("\n", " "))

    def _quick_check(self) -> str:
        deadline = time.monotonic() + _CHECK_S
        self.writer.set_progress_handler(lambda: time.monotonic() > deadline, 10_000)
        try:
            (finding,) = self.writer.execute("PRAGMA quick_check(1)").fetchone()
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorname != "SQLITE_INTERRUPT":
                raise
            return "ok"
        finally:
            self.writer.set_progress_handler(None, 0)
        return str(finding)

    def _migrate(self, migrations: Sequence[Migration]) -> None:
        for schema in range(self._pragma("user_version"), len(migrations)):
            with self.transaction() as writer:
                migrations[schema](writer)
                writer.execute(f"PRAGMA user_version = {schema + 1}")

    def _pragma(self, name: str) -> int:
        (value,) = self.writer.execute(f"PRAGMA {name}").fetchone()
        return int(value)


def _hold(folder: Path, name: str) -> IO[str]:
    """Take the folder for this process, for as long as the returned file stays open."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / f"{name}.lock").open("a+", encoding="ascii")
    except OSError as exc:
        raise StateError(
            f"state folder {folder} cannot be used: {exc.strerror}: make it writable for this user "
            "or choose another with --state-dir"
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
    # Who holds it is a courtesy to the next one; a full disk must not forbid it.
    with suppress(OSError):
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
    return file


def _take_over(folder: Path, former: str, path: Path) -> None:
    """Give a file from before it was renamed its present name, write-ahead log included."""
    old = folder / f"{former}.sqlite"
    if not old.exists():
        return
    _refuse_empty(old)
    with _hold(folder, former), closing(_connect(old)) as database:
        # Out of WAL mode all is in the one file, so that a single rename moves everything.
        database.execute("PRAGMA journal_mode = DELETE")
        old.rename(path)
    sync(folder)
    (folder / f"{former}.lock").unlink(missing_ok=True)


def _create(path: Path, application_id: int) -> None:
    """Make an empty file aside and rename it, so that a file under the name is always whole."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with closing(_connect(aside)) as database:
        database.execute(f"PRAGMA application_id = {application_id}")
    aside.rename(path)
    sync(path.parent)


def _refuse_empty(path: Path) -> None:
    """SQLite would take a file that was truncated to nothing for a new one."""
    if path.stat().st_size == 0:
        raise StateError(_damaged(path, "it is empty"))


def _connect(path: Path) -> sqlite3.Connection:
    # Transactions are begun and ended by hand, and locks of our own order the threads.
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
