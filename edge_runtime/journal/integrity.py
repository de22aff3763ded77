"""What must hold before a station may go on with a journal, looked at once at every start.

Checked is what a mistake would lose or number twice: every verdict that is not settled, its place in
the chain, the answers beyond the mark, and the end. What was settled long ago does not hinder the
line; the audit looks at it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from edge_runtime.journal import schema
from edge_runtime.journal.chain import link
from edge_runtime.journal.database import Database
from edge_runtime.journal.guard import EndMark


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a journal holds at the start."""

    head: schema.HeadRow
    answered_beyond: frozenset[int]
    """Numbers above the head's `answered_to` that wait for nothing."""
    pending: int
    refused: int


def verified(database: Database, end: EndMark) -> Opened:
    """The journal's state, its end mark brought up to it; StateError where it cannot be trusted."""
    with database.explained("read"):
        head = schema.read_head(database.reader)
        if head is None:
            raise database.damaged("its head is gone or changed")
        present = _unsettled(database, head)
        answered = _answered(database, head, present)
        (refused,) = database.reader.execute(
            "SELECT count(*) FROM answer WHERE refusal IS NOT NULL"
        ).fetchone()
        _check_end(database, head, end)
        # Numbers that an older schema deleted on acknowledgement wait for nothing either.
        deleted = set(range(head.answered_to + 1, head.anchor_seq + 1)) - present
        return Opened(
            head=head,
            answered_beyond=frozenset(answered | deleted),
            pending=len(present) - len(answered),
            refused=refused,
        )


def _unsettled(database: Database, head: schema.HeadRow) -> set[int]:
    """The numbers above `answered_to`; StateError if one of the chain is missing or changed."""
    present: set[int] = set()
    before = max(head.answered_to, head.anchor_seq)
    newest, expected = _link_of(before, database, head), before + 1
    rows: Iterable[tuple[int, bytes, bytes]] = database.reader.execute(
        # Damage may have made a text of the bytes.
        "SELECT seq, CAST(sha256 AS BLOB), CAST(body AS BLOB) FROM verdict WHERE seq > ? ORDER BY seq",
        (head.answered_to,),
    )
    for seq, key, body in rows:
        present.add(seq)
        if seq <= head.anchor_seq:
            continue
        newest = link(newest, seq, body)
        if seq != expected or newest != key:
            raise database.damaged(f"verdict {min(seq, expected)} is gone or changed")
        expected += 1
    if expected != head.last_seq + 1 or newest != head.last_link:
        # Where none is left to be missed, it is the link to the newest that does not hold.
        first = min(expected, head.last_seq)
        raise database.damaged(f"verdicts from {first} to {head.last_seq} are gone or changed")
    return present


def _answered(database: Database, head: schema.HeadRow, present: set[int]) -> set[int]:
    answered: set[int] = set()
    for seq, at_ms, refusal, mark in database.reader.execute(
        "SELECT seq, at, refusal, mark FROM answer WHERE seq > ?", (head.answered_to,)
    ):
        if mark != schema.answer_mark(seq, at_ms, refusal) or seq not in present:
            raise database.damaged(f"the answer to verdict {seq} has changed")
        answered.add(seq)
    return answered


def _check_end(database: Database, head: schema.HeadRow, end: EndMark) -> None:
    mark = end.read()
    if mark is not None:
        last_seq, key = mark
        known = _link_of(last_seq, database, head)
        if last_seq > head.last_seq or (known and known != key):
            raise database.damaged(
                f"it ends with verdict {head.last_seq}, but {end.path.name} has seen another "
                f"verdict {last_seq}"
            )
    end.write(head.last_seq, head.last_link)


def _link_of(seq: int, database: Database, head: schema.HeadRow) -> bytes:
    """A verdict's link in the chain; empty where the chain does not hold it."""
    if seq == head.anchor_seq:
        return head.anchor_link
    row = database.reader.execute(
        "SELECT CAST(sha256 AS BLOB) FROM verdict WHERE seq = ?", (seq,)
    ).fetchone()
    return bytes(row[0]) if row and seq > head.anchor_seq else b""
