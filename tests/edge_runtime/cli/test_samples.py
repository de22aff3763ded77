"""`edge-inspect samples`: what is kept is listed, shown, exported and removed."""

from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.contracts.sample import Claim, Reason
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.samples.collection import Collection
from edge_runtime.samples.folder import SAMPLES, Folder
from tests.edge_runtime.samples.parts import part


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """The state folder of a station that keeps three reviews and two random samples."""
    folder = Folder(tmp_path / "state" / SAMPLES)
    collection = Collection(folder, quota=10**9, least_free=0, most_likely=0.5)
    collection.open()
    for seq in (1, 2, 3):
        claim = Claim(reason=Reason.UNCERTAIN, kind="crack")
        collection.keep(part(seq, defect=0.5, outcome=Outcome.REVIEW), [claim], None)
    for seq in (4, 5):
        collection.keep(part(seq), [Claim(reason=Reason.RANDOM)], None)
    return tmp_path / "state"


def run(*words: str, code: int = 0) -> None:
    assert main(["samples", *words]) == code


def test_the_list_tells_reason_kind_and_number(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("list", "--state-dir", str(state))
    lines = [line.split()[:4] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["random", "2", "samples", "0.0"],
        ["uncertain", "crack", "3", "samples"],
        ["in", "all", "5", "samples"],
    ]
    run("list", "--state-dir", str(state), "--each", "--reason", "random")
    each = capsys.readouterr().out.splitlines()
    assert len(each) == 3
    assert each[0].endswith("M000001-0: ok no_defect (random)")


def test_a_part_is_shown_with_its_scores_probability_and_files(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("show", "--state-dir", str(state), "M000001-0")
    shown = capsys.readouterr().out
    assert "drawn by lot, probability 0.5" in shown
    assert "lossless, from the pixels that came" in shown
    run("show", "--state-dir", str(state), "2")
    assert "crack                    0.450" in capsys.readouterr().out
    run("show", "--state-dir", str(state), "M9", code=2)
    assert "nothing is kept of M9" in capsys.readouterr().err


def test_export_says_what_it_wrote_and_what_it_left(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "package"
    run("export", "--state-dir", str(state), "--out", str(out), "--limit", "4")
    said = capsys.readouterr().out
    assert f"{out}: 4 samples, 4 frames (random=2 uncertain=2)" in said
    assert "1 samples left for later by --limit 4" in said
    assert (out / "labelling.html").is_file()


def test_prune_removes_what_is_named_and_nothing_unasked(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("prune", "--state-dir", str(state), code=2)
    assert "say which samples" in capsys.readouterr().err
    run("prune", "--state-dir", str(state), "--reason", "uncertain")
    assert "3 samples removed" in capsys.readouterr().out
    run("prune", "--state-dir", str(state), "--since", "1")
    assert "0 samples removed" in capsys.readouterr().out
    run("prune", "--state-dir", str(state), "--before", "1")
    assert "2 samples removed" in capsys.readouterr().out
    assert Folder(state / SAMPLES).names() == frozenset()


def test_a_station_that_keeps_nothing_is_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("list", "--state-dir", str(tmp_path), code=7)
    assert "none were kept yet" in capsys.readouterr().err
    run("list", code=2)
    assert "--station is required" in capsys.readouterr().err
