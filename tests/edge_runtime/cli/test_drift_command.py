"""`edge-inspect drift` as a person uses it: on a station that runs, and on the copy of its folder."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_runtime.cli.main import main
from edge_runtime.drift_history.store import read_history
from edge_runtime.errors import StateError
from edge_runtime.journal.audit import audit
from tests.edge_runtime.drift.line import make_reference, parts
from tests.edge_runtime.drift_history.course import write_history
from tests.patience import eventually
from tests.reliability.daemon import Station
from tests.tiny_bundle import write_bundle


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Half an hour of a line whose light has turned blue."""
    monkeypatch.delenv("EDGE_INSPECT_STATE_DIR", raising=False)
    write_history(tmp_path, parts(1800, shifts={"colour": -3})).close()
    return tmp_path


def test_the_state_is_shown_in_words(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "show", "--state-dir", str(state)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("L07-S3 with weld-seam/1.0.0, 2026-03-02 06:29 UTC: alarm\n")
    assert "K colder (bluer) than in training" in said
    assert "1. Verdicts may be wrong." in said
    assert "2. Was a lamp replaced by a colder one?" in said


def test_the_page_is_written_and_what_was_there_replaced(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "drift.html"
    out.write_text("old")
    assert main(["drift", "report", "--state-dir", str(state), "--out", str(out)]) == 0
    assert out.read_text("utf-8").startswith("<!doctype html>")
    assert capsys.readouterr().out.startswith(f"{out}: Verdicts may be wrong: since ")
    assert not list(tmp_path.glob(".drift.html*"))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--since", "2026-03-02T06:20"], 0, "06:29 UTC: alarm"),
        (["--since", "yesterday"], 2, "--since yesterday is no time: give 90m, 12h, 7d, or a date"),
        (["--since", "1h"], 7, "no minute of that time"),
    ],
)
def test_a_beginning_is_a_reach_or_a_date(
    state: Path, words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["drift", "show", "--state-dir", str(state), *words]) == code
    found = capsys.readouterr()
    assert said in (found.err if code else found.out)


def test_what_cannot_be_is_one_line(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["drift", "show"]) == 2
    assert main(["drift", "show", "--state-dir", str(state / "nowhere")]) == 7
    out = str(state / "no folder" / "drift.html")
    assert main(["drift", "report", "--state-dir", str(state), "--out", out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert "--station is required, or --state-dir" in lines[0]
    assert "is not there" in lines[1]
    assert "cannot write" in lines[2]


WITHOUT_THE_EXTRA = """
import sys
sys.modules["jinja2"] = None
from edge_runtime.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_without_the_extra_the_state_is_shown_and_the_page_asks_for_it(state: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT_THE_EXTRA, "drift", *words]
        return subprocess.run(
            [*command, "--state-dir", str(state)], check=False, capture_output=True, text=True
        )

    assert run("show").returncode == 0
    refused = run("report", "--out", str(state / "drift.html"))
    assert refused.returncode == 2
    assert refused.stderr == (
        "edge-inspect: the page needs jinja2, which is not installed: "
        "pip install 'edge-inspect[report]'\n"
    )


def test_a_daemon_keeps_its_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    station = Station(
        folder=tmp_path,
        broker="memory://daemon",
        bundle=write_bundle(tmp_path / "bundle", drift=make_reference(line_mix=False)),
        rate=200,
    )
    with station.start() as daemon:
        assert eventually(lambda: _committed(station.state_dir) > 200), daemon.words()
        assert daemon.stop() == 0, daemon.words()
    history = read_history(station.state_dir)
    assert sum(period.parts for period in history.periods) > 200
    assert main(["drift", "show", "--state-dir", str(station.state_dir)]) == 0
    assert "L07-S3 with tiny/1.0.0" in capsys.readouterr().out


def _committed(state_dir: Path) -> int:
    try:
        return audit(state_dir / "journal.sqlite").checked
    except StateError:  # it is being made
        return 0
