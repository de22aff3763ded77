"""The audit finds every change, removal and cut of the journal, and says where."""

import hashlib
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.contracts.journal import JournalHead
from edge_runtime.errors import StateError
from edge_runtime.journal import schema
from edge_runtime.journal.audit import audit, find, read_heads
from edge_runtime.journal.chain import GENESIS, link
from edge_runtime.journal.journal import Journal
from tests.sample_verdicts import entries

COUNT = 20


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(Journal(tmp_path)) as journal:
        journal.append(entries(1, COUNT))
        for seq in range(1, 11):
            journal.acknowledge(seq)
        journal.refuse(11, "Not authorized (0x87)")
    return tmp_path / "journal.sqlite"


def published(path: Path) -> JournalHead:
    with closing(Journal(path.parent)) as journal:
        head = journal.head
    return JournalHead(
        site="plant-1",
        line="L07",
        station="S3",
        at=datetime.now(UTC),
        first_seq=head.first_seq,
        last_seq=head.last_seq,
        sha256=head.sha256.hex(),
    )


def meddle(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def rewrite(path: Path, *, last_seq: int, change: int | None = None) -> None:
    """Forge the whole chain up to `last_seq` as one who knows how it is made, end mark included."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("DELETE FROM verdict WHERE seq > ?", (last_seq,))
        database.execute("DELETE FROM answer WHERE seq > ?", (last_seq,))
        newest = GENESIS
        for seq, body in database.execute("SELECT seq, body FROM verdict ORDER BY seq").fetchall():
            forged = body.replace(b"defect", b"ok") if seq == change else body
            newest = link(newest, seq, forged)
            database.execute(
                "UPDATE verdict SET body = ?, sha256 = ? WHERE seq = ?", (forged, newest, seq)
            )
        head = schema.read_head(database)
        assert head is not None
        schema.write_head(
            schema.HeadRow(
                last_seq=last_seq,
                last_link=newest,
                anchor_seq=0,
                anchor_link=GENESIS,
                answered_to=min(head.answered_to, last_seq),
            ),
            database,
        )
    (path.parent / "journal.head").unlink(missing_ok=True)


def test_a_sound_journal_has_no_findings(path: Path) -> None:
    told: list[tuple[int, int]] = []
    report = audit(path, [published(path)], on_progress=lambda *now: told.append(now))
    assert (report.findings, report.broken) == ((), 0)
    assert (report.checked, report.compared) == (COUNT, 1)
    assert (report.acknowledged, report.refused, report.pending) == (10, 1, 9)
    assert (report.head.first_seq, report.head.last_seq) == (1, COUNT)
    assert told[-1] == (COUNT, COUNT)


@pytest.mark.parametrize(
    ("statement", "finding"),
    [
        (
            "UPDATE verdict SET body = replace(body, 'P-7', 'P-8') WHERE seq = 7",
            "verdict 7 does not",
        ),
        ("UPDATE verdict SET body = zeroblob(0) WHERE seq = 20", "verdict 20 does not follow"),
        ("UPDATE verdict SET sha256 = zeroblob(32) WHERE seq = 5", "verdict 5 does not follow"),
        ("DELETE FROM verdict WHERE seq = 1", "verdict 1 is missing"),
        ("DELETE FROM verdict WHERE seq BETWEEN 3 AND 6", "verdicts 3 to 6 are missing"),
        ("DELETE FROM verdict WHERE seq > 15", "verdicts 16 to 20 are missing"),
        ("UPDATE verdict SET seq = 21 WHERE seq = 20", "verdict 20 is missing"),
        (
            "INSERT INTO verdict SELECT 21, at, sha256, body FROM verdict WHERE seq = 20",
            "verdict 21 does not follow",
        ),
    ],
)
def test_each_kind_of_meddling_is_found(path: Path, statement: str, finding: str) -> None:
    meddle(path, statement)
    report = audit(path)
    assert finding in report.findings[0]


def test_all_findings_are_counted_and_the_rest_is_still_checked(path: Path) -> None:
    meddle(
        path,
        "UPDATE verdict SET body = zeroblob(9) WHERE seq IN (4, 9)",
        "DELETE FROM verdict WHERE seq = 14",
    )
    report = audit(path)
    assert [finding.split()[1] for finding in report.findings] == ["4", "9", "14"]
    assert report.checked == COUNT - 1


def test_a_rewritten_chain_and_a_cut_tail_are_seen_by_what_was_published(path: Path) -> None:
    kept_elsewhere = [published(path)]
    rewrite(path, last_seq=COUNT, change=7)
    assert audit(path).broken == 0, "the control: a forger who rewrites all of it is consistent"
    assert "verdict 20 was published with another hash" in audit(path, kept_elsewhere).findings[0]
    rewrite(path, last_seq=15)
    assert audit(path).broken == 0
    assert "the journal ends with 15: its tail was cut" in audit(path, kept_elsewhere).findings[0]


def test_a_pruned_journal_is_checked_from_its_anchor(path: Path) -> None:
    early = published(path)
    with closing(Journal(path.parent)) as journal:
        journal._prune(older_than_ms=None, limit=6)
    report = audit(path, [early])
    assert (report.checked, report.kept_apart, report.broken, report.compared) == (14, 0, 0, 1)
    meddle(path, "DELETE FROM verdict WHERE seq = 7")
    assert "verdict 7 is missing" in audit(path).findings[0]


def test_a_station_may_run_meanwhile(path: Path) -> None:
    with closing(Journal(path.parent)) as journal:
        journal.append(entries(COUNT + 1, 5))
        assert audit(path).checked == COUNT + 5


def test_a_part_is_found_with_what_became_of_it(path: Path) -> None:
    (record,) = find(path, part_id="P-7")
    assert (record.seq, record.verdict["part_id"]) == (7, "P-7")
    assert record.answered_at is not None
    assert record.refusal is None
    (refused,) = find(path, seq=11)
    assert refused.refusal == "Not authorized (0x87)"
    (waiting,) = find(path, seq=12)
    assert (waiting.answered_at, waiting.refusal) == (None, None)
    assert find(path, part_id="P-") == ()
    assert find(path, part_id='"') == ()


def test_what_is_no_journal_is_named(tmp_path: Path, path: Path) -> None:
    with pytest.raises(StateError, match=r"no journal at .*--state-dir"):
        audit(tmp_path / "elsewhere" / "journal.sqlite")
    (tmp_path / "text").write_text("hello, this is no database at all" * 100, encoding="utf-8")
    with pytest.raises(StateError, match="cannot be read"):
        audit(tmp_path / "text")
    meddle(path, "PRAGMA user_version = 1")
    with pytest.raises(
        StateError, match="has schema 1, this edge-inspect reads 2: start the station"
    ):
        audit(path)
    meddle(path, "PRAGMA user_version = 2", "UPDATE head SET last_seq = 7")
    with pytest.raises(StateError, match="its head is gone or changed"):
        audit(path)


def test_published_heads_are_read_line_by_line(path: Path) -> None:
    ours = published(path)
    other = ours.model_copy(update={"station": "S4"})
    lines = [ours.to_json(), "", other.to_json()]
    assert read_heads(lines, ("plant-1", "L07", "S3")) == (ours,)
    with pytest.raises(ValueError, match="line 2 is not a published journal head"):
        read_heads([ours.to_json(), "{}"], ("plant-1", "L07", "S3"))


def test_the_hash_is_what_the_contract_says(path: Path) -> None:
    expected = bytes(32)
    with closing(sqlite3.connect(path)) as database:
        for seq, body in database.execute("SELECT seq, body FROM verdict ORDER BY seq"):
            expected = hashlib.sha256(expected + seq.to_bytes(8, "big") + body).digest()
    assert published(path).sha256 == expected.hex()
