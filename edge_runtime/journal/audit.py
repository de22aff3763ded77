"""Is a journal whole and unchanged? And what does it say about one part?

Reads the file and nothing else: the station may be running, and nothing is mended. Everything from
the anchor to the head is hashed again. A chain that somebody has rewritten from some verdict to its
end is consistent in itself; that is what the published heads (`JournalHead`) are for.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge_runtime.contracts.journal import JournalHead
from edge_runtime.errors import StateError
from edge_runtime.journal import schema
from edge_runtime.journal.chain import Head, link

_LISTED: Final = 100
"""Findings listed at most; the count goes on."""
_PROGRESS_EVERY: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditReport:
    """What was looked at, and what does not hold."""

    head: Head
    checked: int
    """Verdicts whose place in the chain was computed again."""
    kept_apart: int
    """Verdicts from before the chain's anchor: refused ones, and those of an older version."""
    acknowledged: int
    refused: int
    pending: int
    compared: int
    """Published heads that lie within the chain and were compared with it."""
    findings: tuple[str, ...]
    """The first of what does not hold, in order; empty where all is well."""
    broken: int
    """How many findings there are in all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One verdict as committed, and what became of it."""

    seq: int
    verdict: Any
    """The `Verdict`, as parsed JSON."""
    committed_at: datetime | None
    """None where an older version did not note it."""
    answered_at: datetime | None
    """When the broker answered; None while it has not."""
    refusal: str | None
    """The broker's reason for refusing it; None where it took it, or has not answered."""


def audit(
    path: Path,
    published: Iterable[JournalHead] = (),
    *,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AuditReport:
    """Check the whole of a journal; `published` are heads of this station's journal.

    `on_progress(checked, total)` is called now and then. Raises StateError when there is no journal
    that could be read.
    """
    with _opened(path) as database:
        state = schema.read_head(database)
        if state is None:
            raise StateError(
                f"{path} is damaged: its head is gone or changed; nothing else was checked"
            )
        head = Head(first_seq=state.anchor_seq + 1, last_seq=state.last_seq, sha256=state.last_link)
        heads = {item.last_seq: item for item in published}
        walk = _Walk(state, heads)
        total = state.last_seq - state.anchor_seq
        # Damage or meddling may have made a text of the bytes.
        rows = database.execute(
            "SELECT seq, CAST(sha256 AS BLOB), CAST(body AS BLOB) FROM verdict WHERE seq > ? "
            "ORDER BY seq",
            (state.anchor_seq,),
        )
        for seq, key, body in rows:
            walk.step(seq, key, body)
            if walk.checked % _PROGRESS_EVERY == 0:
                on_progress(walk.checked, total)
        walk.end()
        on_progress(total, total)
        (kept_apart,) = database.execute(
            "SELECT count(*) FROM verdict WHERE seq <= ?", (state.anchor_seq,)
        ).fetchone()
        answered, refused = database.execute(
            "SELECT count(*), count(refusal) FROM answer"
        ).fetchone()
        return AuditReport(
            head=head,
            checked=walk.checked,
            kept_apart=kept_apart,
            acknowledged=answered - refused,
            refused=refused,
            # Fewer than none where verdicts were removed and the answers to them were not.
            pending=max(0, walk.checked + kept_apart - answered),
            compared=walk.compared,
            findings=tuple(walk.findings),
            broken=walk.broken,
        )


def find(path: Path, *, seq: int | None = None, part_id: str | None = None) -> tuple[Record, ...]:
    """The verdicts with a number or about a part, in order; raises StateError like `audit`."""
    condition, value = "verdict.seq = ?", seq
    needle: bytes | None = None
    if part_id is not None:
        # Wherever the text stands, the field is then read from the parsed verdict.
        needle = json.dumps(part_id, ensure_ascii=False)[1:-1].encode()
        condition = "instr(body, ?)"
    with _opened(path) as database:
        rows = database.execute(
            "SELECT verdict.seq, body, verdict.at, answer.at, refusal FROM verdict "  # noqa: S608
            f"LEFT JOIN answer ON answer.seq = verdict.seq WHERE {condition} ORDER BY verdict.seq",
            (value if needle is None else needle,),
        )
        records = tuple(_record(*row) for row in rows)
    return tuple(
        record for record in records if part_id is None or record.verdict["part_id"] == part_id
    )


class _Walk:
    """Follows the chain from the anchor and notes where it breaks."""

    def __init__(self, state: schema.HeadRow, published: dict[int, JournalHead]) -> None:
        self.findings: list[str] = []
        self.broken = 0
        self.checked = 0
        self.compared = 0
        self._state = state
        self._published = published
        self._seq = state.anchor_seq
        self._link = state.anchor_link
        self._compare()

    def step(self, seq: int, key: bytes, body: bytes) -> None:
        if seq != self._seq + 1:
            self._missing(self._seq + 1, seq - 1)
        elif link(self._link, seq, body) != key:
            self._note(
                f"verdict {seq} does not follow from verdict {seq - 1}: one of them has changed"
            )
        self._seq, self._link = seq, key
        self.checked += 1
        if self._published:
            self._compare()

    def end(self) -> None:
        if self._seq < self._state.last_seq:
            self._missing(self._seq + 1, self._state.last_seq)
        elif (self._seq, self._link) != (self._state.last_seq, self._state.last_link):
            self._note(f"the chain ends with verdict {self._seq} in another way than its head says")
        for seq in sorted(self._published):
            if seq > max(self._seq, self._state.last_seq):
                self._note(
                    f"verdict {seq} was published as the head at {self._published[seq].at:%F %T} UTC, "
                    f"but the journal ends with {self._seq}: its tail was cut"
                )

    def _compare(self) -> None:
        published = self._published.get(self._seq)
        if published is None:
            return
        self.compared += 1
        if self._link.hex() != published.sha256:
            self._note(
                f"verdict {self._seq} was published with another hash at {published.at:%F %T} UTC: "
                "the chain up to it was rewritten"
            )

    def _missing(self, first: int, last: int) -> None:
        which = f"verdict {first} is" if first == last else f"verdicts {first} to {last} are"
        self._note(f"{which} missing")

    def _note(self, finding: str) -> None:
        self.broken += 1
        if len(self.findings) < _LISTED:
            self.findings.append(finding)


def read_heads(lines: Iterable[str], about: Sequence[str]) -> tuple[JournalHead, ...]:
    """Published heads from JSON lines, as `mosquitto_sub` writes them; others' are left out.

    `about` is (site, line, station). Raises ValueError that names a line which is no head.
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            head = JournalHead.model_validate_json(line)
        except ValueError as exc:
            raise ValueError(f"line {number} is not a published journal head") from exc
        if (head.site, head.line, head.station) == tuple(about):
            found.append(head)
    return tuple(found)


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """The journal, to be read only; whatever SQLite says against it as a StateError."""
    if not path.is_file():
        raise StateError(f"no journal at {path}: give the station's --state-dir")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (known,) = database.execute("PRAGMA application_id").fetchone()
            (version,) = database.execute("PRAGMA user_version").fetchone()
            if known != schema.APPLICATION_ID:
                raise StateError(f"{path} is not a journal of edge-inspect: check --state-dir")
            if version != len(schema.MIGRATIONS):
                raise StateError(
                    f"{path} has schema {version}, this edge-inspect reads {len(schema.MIGRATIONS)}: "
                    "start the station once, which upgrades it, or use the version that wrote it"
                )
            # One transaction, so that a station that runs and prunes does not change what is read.
            database.execute("BEGIN")
            yield database
    except sqlite3.Error as exc:
        raise StateError(f"{path} cannot be read: {exc}: the file is damaged") from exc


def _record(
    seq: int, body: bytes, committed_ms: int, answered_ms: int | None, refusal: str | None
) -> Record:
    return Record(
        seq=seq,
        verdict=json.loads(body),
        committed_at=_moment(committed_ms),
        answered_at=_moment(answered_ms),
        refusal=refusal,
    )


def _moment(unix_ms: int | None) -> datetime | None:
    return datetime.fromtimestamp(unix_ms / 1000, UTC) if unix_ms else None
