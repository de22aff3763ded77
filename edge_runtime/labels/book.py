"""The labels of a station on disk, and enough of its verdicts to match them: `labels.sqlite`.

Owns what is kept and for how long; the journal stays the record, from which the verdicts are copied in
order. Of labels the newest LARGEST are kept, of verdicts the newest MATCHED. Used by one thread.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edge_runtime.contracts.label import Label, Selected, Source
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.journal.database import Database, Migration
from edge_runtime.labels.desk import Answered, Known

LARGEST: Final = 200_000
"""Labels kept."""
MATCHED: Final = 1_000_000
"""Verdicts that a label can be about, the newest; some 100 bytes each."""
_APPLICATION_ID: Final = 0x45644C62
"""Tells a foreign SQLite file apart ("EdLb")."""


def _to_1(writer: sqlite3.Connection) -> None:
    writer.execute(
        "CREATE TABLE verdict (seq INTEGER PRIMARY KEY, part_id TEXT NOT NULL, day INTEGER NOT NULL, "
        "model TEXT NOT NULL, outcome TEXT NOT NULL, label TEXT)"
    )
    writer.execute("CREATE INDEX part ON verdict (part_id, seq)")
    writer.execute(
        "CREATE TABLE answered (model TEXT, day INTEGER, outcome TEXT, label TEXT, "
        "parts INTEGER NOT NULL, PRIMARY KEY (model, day, outcome, label)) WITHOUT ROWID"
    )
    writer.execute(
        "CREATE TABLE known (seq INTEGER PRIMARY KEY, day INTEGER NOT NULL, model TEXT NOT NULL, "
        "outcome TEXT NOT NULL, label TEXT NOT NULL, truth TEXT NOT NULL, source TEXT NOT NULL, "
        "selected TEXT NOT NULL)"
    )


_MIGRATIONS: Final[tuple[Migration, ...]] = (_to_1,)


class LabelBook:
    """The book in a folder, for this process alone; raises StateError when that cannot be."""

    def __init__(self, folder: Path, *, largest: int = LARGEST, matched: int = MATCHED) -> None:
        self._largest = largest
        self._matched = matched
        self._database = Database(
            folder,
            "labels",
            formerly="labels",
            application_id=_APPLICATION_ID,
            migrations=_MIGRATIONS,
        )

    @property
    def copied_to(self) -> int:
        """The newest verdict that was copied; 0 before the first."""
        ((seq,),) = self._rows("SELECT coalesce(max(seq), 0) FROM verdict")
        return int(seq)

    def copy(self, verdicts: Sequence[Answered]) -> None:
        """Take over verdicts that follow on `copied_to`, all or none."""
        with self._database.transaction() as writer:
            writer.executemany(
                "INSERT INTO verdict VALUES (?, ?, ?, ?, ?, ?)",
                [(v.seq, v.part_id, v.day, v.model, v.outcome.value, v.label) for v in verdicts],
            )
            writer.executemany(
                "INSERT INTO answered VALUES (?, ?, ?, ?, 1) "
                "ON CONFLICT DO UPDATE SET parts = parts + 1",
                [
                    (v.model, v.day, v.outcome.value, v.label)
                    for v in verdicts
                    if v.label is not None
                ],
            )
            writer.execute(
                "DELETE FROM verdict WHERE seq <= ?", (verdicts[-1].seq - self._matched,)
            )

    def find(self, label: Label) -> Answered | None:
        """The verdict that a label is about, the newest of its part; None where none is known."""
        wanted = "seq = ?" if label.seq is not None else "part_id = ?"
        rows = self._rows(
            "SELECT seq, part_id, day, model, outcome, label FROM verdict "  # noqa: S608 - two constants
            f"WHERE {wanted} ORDER BY seq DESC LIMIT 1",
            label.seq if label.seq is not None else label.part_id,
        )
        for seq, part_id, day, model, outcome, answer in rows:
            if label.part_id in (None, part_id):
                return Answered(
                    seq=seq,
                    part_id=part_id,
                    day=day,
                    model=model,
                    outcome=Outcome(outcome),
                    label=answer,
                )
        return None

    def known(self, seq: int) -> Known | None:
        """What is kept about a verdict; None where nothing is."""
        rows = self._rows("SELECT truth, source, selected FROM known WHERE seq = ?", seq)
        for truth, source, selected in rows:
            return Known(truth=truth, source=Source(source), selected=Selected(selected))
        return None

    def keep(self, verdict: Answered, known: Known) -> None:
        """Keep the truth about a verdict, durably, in place of what was kept of it before."""
        with self._database.transaction() as writer:
            writer.execute(
                "INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    verdict.seq,
                    verdict.day,
                    verdict.model,
                    verdict.outcome.value,
                    verdict.label,
                    known.truth,
                    known.source.value,
                    known.selected.value,
                ),
            )
            writer.execute(
                "DELETE FROM known WHERE seq <= "
                "(SELECT seq FROM known ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                (self._largest,),
            )

    def answered(self, model: str, from_day: int) -> dict[tuple[Outcome, str], int]:
        """Parts by outcome and class that a model has answered since a day."""
        rows = self._rows(
            "SELECT outcome, label, sum(parts) FROM answered WHERE model = ? AND day >= ? GROUP BY 1, 2",
            model,
            from_day,
        )
        return {(Outcome(outcome), label): parts for outcome, label, parts in rows}

    def labelled(
        self, model: str, from_day: int
    ) -> Mapping[tuple[Outcome, str, str, Selected], int]:
        """Labels of those parts, by outcome, class, true class and how they were chosen."""
        rows = self._rows(
            "SELECT outcome, label, truth, selected, count(*) FROM known "
            "WHERE model = ? AND day >= ? GROUP BY 1, 2, 3, 4",
            model,
            from_day,
        )
        return {
            (Outcome(outcome), label, truth, Selected(selected)): count
            for outcome, label, truth, selected, count in rows
        }

    def first_day(self, model: str, from_day: int) -> int | None:
        """The day of the oldest of those labels; None where there is none."""
        ((day,),) = self._rows(
            "SELECT min(day) FROM known WHERE model = ? AND day >= ?", model, from_day
        )
        return None if day is None else int(day)

    def forget_before(self, day: int) -> None:
        """Drop the counts of answers of earlier days."""
        with self._database.transaction() as writer:
            writer.execute("DELETE FROM answered WHERE day < ?", (day,))

    def close(self) -> None:
        """Close and unlock."""
        self._database.close()

    def _rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._database.explained("read"):
            return self._database.reader.execute(query, values).fetchall()
