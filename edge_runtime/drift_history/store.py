"""The drift history's file: one writer, and readers who never hold it up.

Owns `drift-history.sqlite` in the state folder and its bounds: minutes of about two days, hours of
about a year, a few hundred standings and a few pictures; some 15 MB. SQLite in WAL mode, so that a
`kill -9` leaves whole rows and a reader locks nobody out; without a sync at each commit, since the
history is no record: a power cut may cost the last minutes.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypeVar

from pydantic import ValidationError

from edge_runtime.contracts.drift import DriftReference, DriftReport
from edge_runtime.drift_history.period import HOUR, Period, floored, merged
from edge_runtime.drift_history.records import History, KeptReport, Picture, Role, Standing
from edge_runtime.errors import DiskFullError, StateError

NAME: Final = "drift-history.sqlite"
MINUTES: Final = 2 * 24 * 60
HOURS: Final = 366 * 24
STANDINGS: Final = 500
RECENT: Final = 6
"""Pictures of parts."""
BUNDLES: Final = 3
"""Whose reference and golden frames are kept."""
_SCHEMA: Final = 1
_WAIT_S: Final = 5.0
"""For a reader's checkpoint or another process; nobody holds the file for long."""
_TABLES: Final = """
CREATE TABLE minute (at INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE hour (at INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE standing (at INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE picture (id INTEGER PRIMARY KEY, role TEXT NOT NULL, bundle TEXT NOT NULL,
    at INTEGER NOT NULL, caption TEXT NOT NULL, image BLOB NOT NULL);
CREATE TABLE training (id INTEGER PRIMARY KEY, bundle TEXT NOT NULL UNIQUE, reference TEXT);
"""

Value = TypeVar("Value")


class HistoryStore:
    """The writing side; used by one thread. Every method raises StateError where the disk refuses."""

    def __init__(self, folder: Path) -> None:
        """Open the file or make it; one that is damaged is put aside, and a new one begun."""
        self.path = folder / NAME
        self._standing: tuple[object, int] | None = None
        with _explained(self.path, "opened"):
            folder.mkdir(parents=True, exist_ok=True)
            try:
                self._database = _open(self.path)
            except sqlite3.DatabaseError as exc:
                if getattr(exc, "sqlite_errorname", "") not in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
                    raise
                self.path.replace(self.path.with_suffix(".damaged"))
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(NAME + suffix).unlink(missing_ok=True)
                self._database = _open(self.path)

    def begin(
        self, bundle: str, reference: DriftReference | None, golden: Sequence[Picture]
    ) -> None:
        """A run of the station with this bundle begins."""
        body = None if reference is None else reference.to_json()
        with self._transaction() as database:
            database.execute("DELETE FROM training WHERE bundle = ?", (bundle,))
            database.execute(
                "DELETE FROM picture WHERE bundle = ? AND role = ?", (bundle, Role.TRAINING)
            )
            database.execute(
                "INSERT INTO training (bundle, reference) VALUES (?, ?)", (bundle, body)
            )
            for picture in golden:
                _insert_picture(database, bundle, picture)
            database.execute(
                "DELETE FROM training WHERE id NOT IN "
                "(SELECT id FROM training ORDER BY id DESC LIMIT ?)",
                (BUNDLES,),
            )
            database.execute(
                "DELETE FROM picture WHERE bundle NOT IN (SELECT bundle FROM training)"
            )
        self._standing = None

    def append(self, period: Period, report: DriftReport, picture: Picture | None) -> None:
        """A minute is over: its row, the drift as it stands, and one of its frames."""
        with self._transaction() as database:
            database.execute(
                "INSERT OR REPLACE INTO minute VALUES (?, ?)",
                (_stamp(period.began), period.to_json()),
            )
            standing = self._write_standing(database, period, report)
            if picture is not None:
                _insert_picture(database, period.bundle, picture)
            _keep_newest(database, "standing", STANDINGS)
            database.execute(
                "DELETE FROM picture WHERE role = ? AND id NOT IN "
                "(SELECT id FROM picture WHERE role = ? ORDER BY id DESC LIMIT ?)",
                (Role.RECENT, Role.RECENT, RECENT),
            )
            _fold(database)
            _keep_newest(database, "hour", HOURS)
        self._standing = standing

    def close(self) -> None:
        """Let go of the file; the write-ahead log goes into it."""
        with suppress(sqlite3.Error):
            self._database.close()

    def _write_standing(
        self, database: sqlite3.Connection, period: Period, report: DriftReport
    ) -> tuple[object, int]:
        what = (report.level, frozenset((m.statistic, m.camera, m.level) for m in report.moved))
        at = _stamp(period.began)
        if self._standing is not None and self._standing[0] == what:
            at = self._standing[1]
        database.execute("INSERT OR REPLACE INTO standing VALUES (?, ?)", (at, report.to_json()))
        return what, at

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with _explained(self.path, "written"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    with suppress(sqlite3.Error):
                        self._database.execute("ROLLBACK")
                raise


def copied_history(folder: Path) -> bytes:
    """The history's file as it is now, its station running or not: what `NAME` is to hold elsewhere.

    Raises StateError where there is none.
    """
    with _reading(folder / NAME) as database:
        copy = bytearray(database.serialize())
    copy[18:20] = b"\1\1"  # no write-ahead log: a single file, to be read from any medium
    return bytes(copy)


def read_history(folder: Path, since: datetime | None = None) -> History:
    """The history in a state folder, its station running or not; `since` leaves out what came before.

    Raises StateError where there is none, or none that can be read.
    """
    from_stamp = 0 if since is None else _stamp(since)
    with _reading(folder / NAME) as database:
        periods, lost_periods = _parsed(
            database.execute(
                "SELECT at, body FROM hour WHERE at >= ?1 UNION ALL "
                "SELECT at, body FROM minute WHERE at >= ?1 ORDER BY at",
                (from_stamp,),
            ),
            Period.model_validate_json,
        )
        standings, lost_standings = _parsed(
            database.execute("SELECT at, body FROM standing ORDER BY at"),
            KeptReport.model_validate_json,
        )
        bundle, reference = database.execute(
            "SELECT bundle, reference FROM training ORDER BY id DESC LIMIT 1"
        ).fetchone() or (None, None)
        pictures = database.execute(
            "SELECT role, at, caption, image FROM picture WHERE bundle = ? ORDER BY id", (bundle,)
        ).fetchall()
    return History(
        periods=tuple(period for _, period in periods),
        standings=tuple(Standing(began=_moment(at), report=each) for at, each in standings),
        reference=None if reference is None else DriftReference.model_validate_json(reference),
        pictures=tuple(
            Picture(role=Role(role), at=_moment(at), caption=caption, image=image)
            for role, at, caption, image in pictures
        ),
        unreadable=lost_periods + lost_standings,
    )


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    """The file at one moment."""
    if not path.exists():
        raise StateError(
            f"{path} is not there: give the state folder of a station that watches drift (drift_watch) "
            "and has answered parts for a minute"
        )
    with (
        _explained(path, "read"),
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database,
    ):
        _refuse_newer(path, database)
        database.execute("BEGIN")
        yield database


def _parsed(
    rows: Iterable[tuple[int, str]], parse: Callable[[str], Value]
) -> tuple[list[tuple[int, Value]], int]:
    """What can be read, with its time, and how many rows cannot."""
    found, unreadable = [], 0
    for at, body in rows:
        try:
            found.append((at, parse(body)))
        except ValidationError:
            unreadable += 1
    return found, unreadable


def _fold(database: sqlite3.Connection) -> None:
    """The oldest minutes become an hour, as long as there are too many."""
    while True:
        (count, oldest) = database.execute("SELECT count(*), min(at) FROM minute").fetchone()
        if count <= MINUTES:
            return
        after = _stamp(floored(_moment(oldest), HOUR) + HOUR)
        rows = database.execute(
            "SELECT at, body FROM minute WHERE at < ? ORDER BY at", (after,)
        ).fetchall()
        periods, _ = _parsed(rows, Period.model_validate_json)
        for bundle in dict.fromkeys(period.bundle for _, period in periods):
            hour = merged([period for _, period in periods if period.bundle == bundle])
            database.execute(
                "INSERT OR REPLACE INTO hour VALUES (?, ?)", (_stamp(hour.began), hour.to_json())
            )
        database.execute("DELETE FROM minute WHERE at < ?", (after,))


def _keep_newest(database: sqlite3.Connection, table: str, rows: int) -> None:
    database.execute(
        f"DELETE FROM {table} WHERE at <= (SELECT at FROM {table} ORDER BY at DESC LIMIT 1 OFFSET ?)",  # noqa: S608 - our own names
        (rows,),
    )


def _insert_picture(database: sqlite3.Connection, bundle: str, picture: Picture) -> None:
    database.execute(
        "INSERT INTO picture (role, bundle, at, caption, image) VALUES (?, ?, ?, ?, ?)",
        (picture.role, bundle, _stamp(picture.at), picture.caption, picture.image),
    )


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, timeout=_WAIT_S)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        _refuse_newer(path, database)
        if not _schema(database):
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {_SCHEMA}; COMMIT;")
    except BaseException:
        database.close()
        raise
    return database


def _schema(database: sqlite3.Connection) -> int:
    (schema,) = database.execute("PRAGMA user_version").fetchone()
    return int(schema)


def _refuse_newer(path: Path, database: sqlite3.Connection) -> None:
    if (schema := _schema(database)) > _SCHEMA:
        raise StateError(
            f"{path} was written by a newer edge-inspect (schema {schema}, this one knows {_SCHEMA}): "
            "move it away, or install that version again"
        )


@contextmanager
def _explained(path: Path, action: str) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        full = getattr(exc, "sqlite_errorname", "") == "SQLITE_FULL"
        kind = DiskFullError if full else StateError
        raise kind(f"{path} cannot be {action}: {exc}: check its disk and its permissions") from exc
    except OSError as exc:
        raise StateError(
            f"{path} cannot be {action}: {exc.strerror}: check its disk and its permissions"
        ) from exc


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _stamp(moment: datetime) -> int:
    """Microseconds since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _moment(stamp: int) -> datetime:
    return _EPOCH + timedelta(microseconds=stamp)
