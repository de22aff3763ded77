"""A journal is damaged at random places; the station delivers all it owes, or refuses to start."""

from collections import Counter
from pathlib import Path

import pytest

from edge_runtime.journal.guard import EndMark
from edge_runtime.mes.private_broker import find_mosquitto
from tests.reliability.daemon import Station
from tests.reliability.damage import Kind, Original, Place, leave_behind, start_on
from tests.reliability.reckoning import JOURNAL

pytestmark = pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Original:
    """The journal of a killed station that owes the MES a hundred verdicts."""
    return leave_behind(tmp_path_factory.mktemp("damage") / "original", bundle)


def test_without_damage_all_that_is_owed_is_delivered(
    original: Original, bundle: Path, tmp_path: Path
) -> None:
    assert len(original.owed) >= 100
    assert start_on(original, None, tmp_path, bundle) == "delivered"


def test_damage_at_random_places_is_mended_or_refused(
    original: Original, bundle: Path, tmp_path: Path
) -> None:
    ends = {place: start_on(original, place, tmp_path, bundle) for place in original.places(80, 3)}
    assert {place: end for place, end in ends.items() if end not in ("delivered", "refused")} == {}
    assert min(Counter(ends.values()).values()) > 5, "both ends were seen"


def test_control_without_its_end_mark_a_cut_log_loses_verdicts_without_a_word(
    original: Original, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(EndMark, "read", lambda _self: None)
    cut = Place(file=f"{JOURNAL}-wal", kind=Kind.CUT, offset=0, mask=1)
    assert "lost without a word" in start_on(original, cut, tmp_path, bundle)


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
