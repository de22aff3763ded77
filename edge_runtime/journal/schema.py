"""The tables of the journal, and the way from every older schema to the present one."""

import json
import sqlite3
import zlib
from dataclasses import dataclass
from typing import Final

from edge_runtime.journal.chain import GENESIS
from edge_runtime.journal.database import Migration

APPLICATION_ID: Final = 0x45644F78
"""Tells a foreign SQLite file apart ("EdOx": it began as an outbox)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadRow:
    """The one row of `head`: where the chain begins and ends, and what is answered."""

    last_seq: int
    last_link: bytes
    anchor_seq: int
    """The chain begins after this number; verdicts up to it are pruned, but for refused ones."""
    anchor_link: bytes
    answered_to: int
    """Every verdict up to this number has been answered."""


def read_head(database: sqlite3.Connection) -> HeadRow | None:
    """The head, or None where it is missing or damaged."""
    row = database.execute(
        "SELECT last_seq, last_link, anchor_seq, anchor_link, answered_to, mark FROM head"
    ).fetchone()
    if row is None:
        return None
    head = HeadRow(
        last_seq=row[0],
        last_link=row[1],
        anchor_seq=row[2],
        anchor_link=row[3],
        answered_to=row[4],
    )
    return head if row[5] == _mark(head) else None


def write_head(head: HeadRow, writer: sqlite3.Connection) -> None:
    """Replace the head, within the caller's transaction."""
    writer.execute(
        "UPDATE head SET last_seq = ?, last_link = ?, anchor_seq = ?, anchor_link = ?, "
        "answered_to = ?, mark = ?",
        (*_columns(head), _mark(head)),
    )


def _columns(head: HeadRow) -> tuple[int, bytes, int, bytes, int]:
    # `dataclasses.astuple` copies deeply, which was a fifth of what a commit costs beside the sync.
    return head.last_seq, head.last_link, head.anchor_seq, head.anchor_link, head.answered_to


def _mark(head: HeadRow) -> int:
    return zlib.crc32(repr(_columns(head)).encode())


def _to_1(writer: sqlite3.Connection) -> None:
    """The outbox: verdicts were deleted when they were acknowledged."""
    writer.execute(
        "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), last_seq INTEGER NOT NULL)"
    )
    writer.execute("INSERT INTO head (id, last_seq) VALUES (1, 0)")
    writer.execute(
        "CREATE TABLE verdict (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, refusal TEXT)"
    )


def _to_2(writer: sqlite3.Connection) -> None:
    """The journal. What the outbox still held stays, ahead of the chain, which begins after it."""
    (last_seq,) = writer.execute("SELECT last_seq FROM head").fetchone()
    (first_pending,) = writer.execute(
        "SELECT coalesce(min(seq), ?) FROM verdict WHERE refusal IS NULL", (last_seq + 1,)
    ).fetchone()
    writer.execute("ALTER TABLE verdict RENAME TO held")
    writer.execute("DROP TABLE head")
    writer.execute(
        "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), last_seq INTEGER NOT NULL, "
        "last_link BLOB NOT NULL, anchor_seq INTEGER NOT NULL, anchor_link BLOB NOT NULL, "
        "answered_to INTEGER NOT NULL, mark INTEGER NOT NULL)"
    )
    # `at` is unix time in milliseconds; 0 where an older schema did not note it.
    writer.execute(
        "CREATE TABLE verdict (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, sha256 BLOB NOT NULL, "
        "body BLOB NOT NULL)"
    )
    # Apart from the verdicts, so that an answer rewrites none of their pages.
    writer.execute(
        "CREATE TABLE answer (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, refusal TEXT, "
        "mark INTEGER NOT NULL)"
    )
    writer.execute("CREATE INDEX refused ON answer (seq) WHERE refusal IS NOT NULL")
    writer.create_function("in_form_2", 1, _in_form_2, deterministic=True)
    writer.execute(
        "INSERT INTO verdict (seq, at, sha256, body) "
        "SELECT seq, 0, zeroblob(0), in_form_2(body) FROM held"
    )
    writer.create_function("answer_mark", 3, answer_mark, deterministic=True)
    writer.execute(
        "INSERT INTO answer (seq, at, refusal, mark) "
        "SELECT seq, 0, refusal, answer_mark(seq, 0, refusal) FROM held WHERE refusal IS NOT NULL"
    )
    writer.execute("DROP TABLE held")
    writer.execute("INSERT INTO head VALUES (1, 0, zeroblob(32), 0, zeroblob(32), 0, 0)")
    write_head(
        HeadRow(
            last_seq=last_seq,
            last_link=GENESIS,
            anchor_seq=last_seq,
            anchor_link=GENESIS,
            answered_to=first_pending - 1,
        ),
        writer,
    )


def _in_form_2(body: bytes) -> bytes:
    """A verdict of form 1, which nobody reads any more, in form 2; whatever it is not, as it is."""
    try:
        verdict = json.loads(body)
        if verdict["schema"] != "edge-inspect/verdict/1":
            return body
        verdict["schema"] = "edge-inspect/verdict/2"
        verdict["result_id"] = f"{verdict['boot_id']}:{verdict['seq']}"
        verdict["internal_recipe_id"] = verdict.pop("bundle")
        # Nobody noted it. Taken for real, a simulated part does less harm than the other way round.
        verdict["is_simulated"] = False
        del verdict["timings_ms"]["publish"]
    except (ValueError, TypeError, KeyError):
        return body
    return json.dumps(verdict, ensure_ascii=False, separators=(",", ":")).encode()


def answer_mark(seq: int, at_ms: int, refusal: str | None) -> int:
    """A checksum of an answer, against a damaged file; only the verdicts themselves are chained."""
    return zlib.crc32(repr((seq, at_ms, refusal)).encode())


MIGRATIONS: Final[tuple[Migration, ...]] = (_to_1, _to_2)
"""`MIGRATIONS[n]` leads from schema n to n + 1."""
