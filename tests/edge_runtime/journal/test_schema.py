"""Upgrades: whatever an older version kept is kept, and waits for the broker as before."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edge_runtime.contracts.verdict import DeliveryNote, Lane, VerdictMessage, message
from edge_runtime.errors import StateError
from edge_runtime.journal import schema
from edge_runtime.journal.journal import Entry, Journal
from tests.sample_verdicts import entries

PRESENT = len(schema.MIGRATIONS)
OF_FORM_1 = {
    *(
        "seq",
        "boot_id",
        "site",
        "line",
        "station",
        "part_id",
        "captured_at",
        "decided_at",
        "verdict",
    ),
    *("label", "reason", "scores", "thresholds", "model_sha256", "config_sha256", "timings_ms"),
}
"""Fields that a verdict of form 1 has in common with the present one."""


def outbox_of_schema_1(
    folder: Path, *, last_seq: int, rows: list[tuple[int, str | None]], body: bytes | None = None
) -> None:
    """The file as edge-inspect 0.1.0 left it after a crash: in WAL mode, under its old name."""
    folder.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(folder / "outbox.sqlite")) as old:
        old.execute("PRAGMA journal_mode = WAL")
        old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        old.execute(
            "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), last_seq INTEGER NOT NULL)"
        )
        old.execute("INSERT INTO head VALUES (1, ?)", (last_seq,))
        old.execute(
            "CREATE TABLE verdict (seq INTEGER PRIMARY KEY, body BLOB NOT NULL, refusal TEXT)"
        )
        old.executemany(
            "INSERT INTO verdict VALUES (?, ?, ?)",
            ((seq, body or b"verdict %d" % seq, refusal) for seq, refusal in rows),
        )
        old.execute("PRAGMA user_version = 1")
        old.commit()
    (folder / "outbox.lock").write_text("4711", encoding="ascii")


def test_an_outbox_becomes_a_journal_that_goes_on_where_it_was(tmp_path: Path) -> None:
    rows = [(3, "Not authorized (0x87)"), (7, None), (8, None), (10, None)]
    outbox_of_schema_1(tmp_path, last_seq=10, rows=rows)
    with closing(Journal(tmp_path)) as journal:
        assert [entry.seq for entry in journal.unanswered(0, 100)] == [7, 8, 10]
        assert journal.unanswered(0, 1)[0].body == b"verdict 7"
        assert (journal.next_seq, journal.pending_count, journal.refused_count) == (11, 3, 1)
        journal.append([Entry(seq=11, body=b"verdict 11")])
        for seq in (7, 11):
            journal.acknowledge(seq)
    assert not list(tmp_path.glob("outbox*"))
    for _ in range(2):
        with closing(Journal(tmp_path)) as journal:
            assert [entry.seq for entry in journal.unanswered(0, 100)] == [8, 10]
            assert (journal.pending_count, journal.refused_count) == (2, 1)
            assert [entry.seq for entry in journal.stored(0, 100, 100)] == [3, 7, 8, 10, 11]
    with closing(Journal(tmp_path)) as journal:
        for seq in (8, 10):
            journal.acknowledge(seq)
        journal.flush()
        assert journal._prune(older_than_ms=None) == 4
        assert [entry.seq for entry in journal.stored(0, 100, 100)] == [3]
        assert (journal.head.first_seq, journal.head.last_seq) == (12, 11)


def test_a_verdict_in_the_old_form_reaches_the_mes_in_the_present_one(tmp_path: Path) -> None:
    present = json.loads(entries(7, 1)[0].body)
    old = {key: value for key, value in present.items() if key in OF_FORM_1}
    old["schema"] = "edge-inspect/verdict/1"
    old["bundle"] = "demo/1"
    old["timings_ms"]["publish"] = None
    outbox_of_schema_1(tmp_path, last_seq=7, rows=[(7, None)], body=json.dumps(old).encode())
    with closing(Journal(tmp_path)) as journal:
        (entry,) = journal.unanswered(0, 9)
    note = DeliveryNote(lane=Lane.BACKLOG, waited_ms=0)
    sent = VerdictMessage.model_validate_json(message(entry.body, note))
    assert (sent.seq, sent.part_id, sent.internal_recipe_id) == (7, "P-7", "demo/1")
    assert sent.is_simulated is False


@pytest.mark.parametrize("rows", [[], [(10, None)], [(1, "refused")]])
def test_an_upgrade_keeps_the_numbering(tmp_path: Path, rows: list[tuple[int, str | None]]) -> None:
    outbox_of_schema_1(tmp_path, last_seq=10, rows=rows)
    with closing(Journal(tmp_path)) as journal:
        assert journal.next_seq == 11
        journal.append([Entry(seq=11, body=b"x")])
    with closing(Journal(tmp_path)) as journal:
        assert journal.next_seq == 12


@pytest.mark.parametrize("older", range(PRESENT))
def test_every_older_schema_leads_to_the_present_one(tmp_path: Path, older: int) -> None:
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as old:
        old.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        for migration in schema.MIGRATIONS[:older]:
            migration(old)
        old.execute(f"PRAGMA user_version = {older}")
    with closing(Journal(tmp_path)) as journal:
        assert journal.next_seq == 1
        (version,) = journal._database.reader.execute("PRAGMA user_version").fetchone()
        assert version == PRESENT


def test_an_upgrade_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox_of_schema_1(tmp_path, last_seq=2, rows=[(1, None), (2, None)])

    to_1, to_2 = schema.MIGRATIONS

    def power_cut(writer: sqlite3.Connection) -> None:
        to_2(writer)
        raise sqlite3.OperationalError("power cut")

    with monkeypatch.context() as patched:
        patched.setattr("edge_runtime.journal.schema.MIGRATIONS", (to_1, power_cut))
        with pytest.raises(StateError, match="power cut"):
            Journal(tmp_path)
    with closing(Journal(tmp_path)) as journal:
        assert [entry.body for entry in journal.unanswered(0, 9)] == [b"verdict 1", b"verdict 2"]
