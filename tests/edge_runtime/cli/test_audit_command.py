"""`edge-inspect audit` as a person uses it: after a recall, and after somebody meddled."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.station_id import StationId
from edge_runtime.journal.journal import Journal
from edge_runtime.mes.links import open_publisher
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.mes.topics import Topics
from tests.patience import eventually
from tests.sample_verdicts import entries

TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A journal of eight verdicts: five acknowledged, one refused, two waiting."""
    monkeypatch.delenv("EDGE_INSPECT_STATE_DIR", raising=False)
    with closing(Journal(tmp_path)) as journal:
        journal.append(entries(1, 8))
        for seq in range(1, 6):
            journal.acknowledge(seq)
        journal.refuse(6, "Not authorized (0x87)")
    return tmp_path


@pytest.fixture
def head(state: Path) -> JournalHead:
    with closing(Journal(state)) as journal:
        now = journal.head
    return JournalHead(
        site="plant-1",
        line="L07",
        station="S3",
        at=datetime.now(UTC),
        first_seq=now.first_seq,
        last_seq=now.last_seq,
        sha256=now.sha256.hex(),
    )


def audit(*words: object) -> int:
    return main(["audit", "--site", "plant-1", "--station", "L07-S3", *map(str, words)])


def cut_the_tail(state: Path) -> None:
    """Remove the newest verdicts, and leave the head as it is."""
    with closing(sqlite3.connect(state / "journal.sqlite")) as database:
        database.execute("DELETE FROM verdict WHERE seq > 6")
        database.commit()


def test_a_whole_chain_is_said_to_be_whole(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert audit("--state-dir", state) == 0
    told = capsys.readouterr().out
    assert "verdicts 1 to 8, 8 checked" in told
    assert "5 acknowledged, 2 wait for the broker, 1 refused by it" in told
    assert told.endswith("ok   the chain is whole\n")


def test_a_broken_chain_ends_with_7_and_says_where(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut_the_tail(state)
    assert audit("--state-dir", state) == 7
    assert "FAIL verdicts 7 to 8 are missing" in capsys.readouterr().out
    assert audit("--state-dir", state, "--json") == 7
    report = json.loads(capsys.readouterr().out)
    assert report["findings"] == ["verdicts 7 to 8 are missing"]


def test_a_part_is_told_with_recipe_model_and_fate(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit("--state-dir", state, "--part", "P-2") == 0
    told = capsys.readouterr().out
    assert "verdict 2: part P-2 defect: micro_crack (p=0.900)" in told
    assert "recipe demo/1, model aaaaaaaaaaaaaaaa..., review_from 0.300, defect_from 0.700" in told
    assert "acknowledged by the broker at" in told
    assert audit("--state-dir", state, "--seq", 6) == 0
    assert "refused by the broker at" in capsys.readouterr().out
    assert audit("--state-dir", state, "--seq", 7, "--json") == 0
    assert json.loads(capsys.readouterr().out)["answered_at"] is None
    assert audit("--state-dir", state, "--part", "P-99") == 7
    assert "holds no such verdict" in capsys.readouterr().err


def test_heads_from_an_archive_are_compared(
    state: Path, head: JournalHead, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "heads.jsonl"
    file.write_text(head.to_json() + "\n", encoding="utf-8")
    assert audit("--state-dir", state, "--heads", file) == 0
    assert "1 published heads lie within" in capsys.readouterr().out
    forged = head.model_copy(update={"sha256": "0" * 64})
    file.write_text(forged.to_json() + "\n", encoding="utf-8")
    assert audit("--state-dir", state, "--heads", file) == 7
    assert "was published with another hash" in capsys.readouterr().out
    others = head.model_copy(update={"station": "S4"})
    file.write_text(others.to_json() + "\n", encoding="utf-8")
    assert audit("--state-dir", state, "--heads", file) == 2
    assert "no head of station L07-S3 at site" in capsys.readouterr().err
    file.write_text("what is this\n", encoding="utf-8")
    assert audit("--state-dir", state, "--heads", file) == 2
    assert "line 1 is not a published journal head" in capsys.readouterr().err


def test_the_head_that_the_broker_retains_is_compared(
    state: Path, head: JournalHead, broker: PrivateBroker, capsys: pytest.CaptureFixture[str]
) -> None:
    publisher = open_publisher(
        broker.address, client_id="station", availability_topic=TOPICS.availability
    )
    publisher.set_state(TOPICS.journal, head.to_json().encode())
    publisher.start(lambda _answer: None)
    assert eventually(lambda: publisher.connected)
    publisher.stop(5.0)
    words = ("--state-dir", state, "--broker", broker.address, "--published")
    assert audit(*words) == 0
    assert "1 published heads lie within" in capsys.readouterr().out
    cut_the_tail(state)
    assert audit(*words) == 7
    assert "FAIL verdicts 7 to 8 are missing" in capsys.readouterr().out
