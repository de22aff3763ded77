"""A journal is damaged at random places; the station delivers all it owes, or refuses to start."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_runtime.journal import integrity
from edge_runtime.journal.database import Database
from edge_runtime.journal.guard import EndMark
from edge_runtime.journal.schema import HeadRow
from edge_runtime.mes.private_broker import find_mosquitto
from tests.reliability.daemon import Station
from tests.reliability.damage import Kind, Original, Place, leave_behind, start_on
from tests.reliability.reckoning import JOURNAL, read_journal

pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Original:
    """The journal of a killed station that owes the MES a hundred verdicts."""
    return leave_behind(tmp_path_factory.mktemp("damage") / "original", bundle)


def test_without_damage_all_that_is_owed_is_delivered(
    original: Original, bundle: Path, tmp_path: Path
) -> None:
    assert len(original.owed) > 80
    assert start_on(original, None, tmp_path, bundle) == "delivered"


def test_damage_at_random_places_is_mended_or_refused(
    original: Original, bundle: Path, tmp_path: Path
) -> None:
    ends = {place: start_on(original, place, tmp_path, bundle) for place in original.places(80, 3)}
    assert {place: end for place, end in ends.items() if end not in ("delivered", "refused")} == {}
    assert min(Counter(ends.values()).values()) > 5, "both ends were seen"


@pytest.mark.parametrize("kind", Kind)
def test_control_without_its_end_mark_a_damaged_log_loses_verdicts_without_a_word(
    kind: Kind, original: Original, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EndMark, "read", lambda _self: None)
    damaged = Place(file=f"{JOURNAL}-wal", kind=kind, offset=40, mask=255)
    assert "lost without a word" in start_on(original, damaged, tmp_path, bundle)


# A lost block and a cut of the file itself need no control: SQLite finds its own pages gone.
def test_control_without_a_look_at_the_chain_a_flipped_byte_is_sent(
    original: Original, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flipped = next(flips_in_what_is_owed(original, tmp_path / "aside"))
    assert start_on(original, flipped, tmp_path, bundle) == "refused"
    monkeypatch.setattr(integrity, "_unsettled", believed)
    assert "sent changed" in start_on(original, flipped, tmp_path, bundle)


def flips_in_what_is_owed(original: Original, aside: Path) -> Iterator[Place]:
    """A flipped byte in a part id each; not in what SQLite left behind or its log holds anew."""
    content = (original.folder / JOURNAL).read_bytes()
    for match in reversed(list(re.finditer(rb'"part_id":"', content))):
        place = Place(file=JOURNAL, kind=Kind.FLIP, offset=match.end(), mask=1)
        original.copy(aside)
        place.damage(aside)
        digests, _ = read_journal(aside)
        if any(digests[seq] != original.committed[seq] for seq in original.owed):
            yield place


def believed(database: Database, head: HeadRow) -> set[int]:
    """What waits, as it stands there."""
    rows = database.reader.execute("SELECT seq FROM verdict WHERE seq > ?", (head.answered_to,))
    return {seq for (seq,) in rows}


@pytest.mark.parametrize("kind", Kind)
def test_the_command_refuses_a_damaged_journal_in_one_line_that_names_the_remedy(
    kind: Kind, original: Original, bundle: Path, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    original.copy(state)
    Place(file=f"{JOURNAL}-wal", kind=kind, offset=40, mask=255).damage(state)
    station = Station(folder=tmp_path, broker="mqtt://127.0.0.1:1", bundle=bundle)
    with station.start() as daemon:
        assert daemon.wait() == 7, daemon.words()
        (line,) = daemon.words().splitlines()
    assert line.startswith("edge-inspect: ")
    assert "restore the folder from a backup" in line
