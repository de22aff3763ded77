"""`train report` as a user types it: what the page says, what it says to be missing, what it refuses."""

import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import pytest

from tests.train.report.conftest import FIT, Line
from train.cli.main import main
from train.data import stream
from train.data.frozen_split import read_split

Report = Callable[..., int]


class Words(HTMLParser):
    """The text of a page, without its style sheet."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._within = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002
        self._within = tag

    def handle_data(self, data: str) -> None:
        if self._within != "style":
            self.found.append(data)


def text(page: Path) -> str:
    words = Words()
    words.feed(page.read_text(encoding="utf-8"))
    return re.sub(r"\s+", " ", " ".join(words.found))


def test_the_page_holds_all_the_evidence_there_is(full: Path) -> None:
    seen = text(full / "report.html")
    for words in (
        "What was transferred, and why it helps",
        "similarity (CKA)",
        "How many labels it takes",
        "How well each class is recognised",
        "Where the line is drawn",
        "threshold on the defect score",
        "how often it is right",
        "Where it looks",
        "Labelled crack",
        "What errors cost",
        "Images that lie in the data and were not used",
        "Audit",
        "How it was taught",
        "sampling power",
        "logit adjustment",
        "The sealed test set was opened once",
        "Hashes and commands",
    ):
        assert words in seen
    assert "What this report cannot show" not in seen
    assert "of the sealed test set: neither weights nor thresholds had seen them" in seen


def test_the_page_asks_for_nothing_and_runs_nothing(full: Path) -> None:
    page = (full / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"(src|href)=\"(?!data:|#)|<script|@import", page)
    assert page.count("<img") >= 10


def test_every_excluded_image_is_counted_by_the_step_that_left_it_out(full: Path) -> None:
    card = (full / "MODEL_CARD.md").read_text(encoding="utf-8")
    rows = {row.split(" | ")[0].strip("| "): row for row in card.splitlines() if row[:1] == "|"}
    assert rows["audit"] == "| audit | 0 | - | audit.csv of the audit |"
    assert re.search(r"\| split \| 1 \| .+ 1 \| quarantine.csv of the split \|", rows["split"])
    assert "| 0 | - | quarantine.csv of the run |" in rows["teaching and validation"]
    assert rows["evaluation"].startswith("| evaluation | 0 | - |")


def test_the_card_has_the_figures_of_the_page(full: Path, line: Line) -> None:
    card = (full / "MODEL_CARD.md").read_text(encoding="utf-8")
    final = json.loads((line / "final.json").read_text())
    value = next(each["value"] for each in final["figures"] if each["name"] == "macro F1")
    assert f"- Macro F1 over all classes: **{value:.3f}**" in card
    assert f"{value:.3f}" in text(full / "report.html")
    assert [row for row in card.splitlines() if row.startswith("## ")] == [
        f"## {name}"
        for name in (
            "Decision", "Accuracy", "Cost of errors", "Data", "Training", "Transfer", "Labels needed",
            "Sealed test set", "Origin", "Limits",
        )
    ]  # fmt: skip
    assert not re.search(r"\n{4}|None", card)


def test_what_is_not_there_is_said_to_be_missing_with_the_way_to_it(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--card", str(tmp_path / "card.md"), run="old") == 0
    told = capsys.readouterr().out
    seen = text(tmp_path / "report.html")
    assert "What this report cannot show" in seen
    for what, way in (
        ("figures on images that nothing was chosen by", "--evaluation"),
        ("how many labels the earlier camera saves", "--comparison"),
        ("duplicates, blur and likely label errors", "--audit"),
        ("how often the test set was opened", "train split"),
        ("thresholds that keep bounds", "train calibrate"),
        ("an earlier camera to compare with", "--source-run"),
        ("figures by line, station, week and blur", "evaluation"),
    ):
        for place in (told, seen, (tmp_path / "card.md").read_text(encoding="utf-8")):
            (rest,) = re.findall(f"{what}: (.*)", place)
            assert way in rest
    assert "so the figures are a little hopeful" in seen


def test_the_sealed_images_are_not_read(
    line: Line, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = read_split(line / "split")
    before = split.ledger.read()
    names = (line / "split" / "sealed.csv").read_text().splitlines()[1:]
    sealed = {(line / "new-images" / name.split(",")[0]).read_bytes() for name in names}
    assert len(sealed) >= 9
    seen = []
    decode = stream.decode
    monkeypatch.setattr(stream, "decode", lambda data: (seen.append(data), decode(data))[1])
    assert report(*line.everything) == 0
    assert len(seen) > 10
    assert not sealed & set(seen)
    assert split.ledger.read() == before


@pytest.fixture
def nosy(line: Line, tmp_path: Path) -> Path:
    """An earlier run that held back images of the whole data, the sealed ones among them."""
    run = tmp_path / "nosy"
    words = ["--data-dir", str(line / "new-images"), "--initial-weights", "scratch", *FIT]
    assert main(["fit", *words, "--val-split", "0.5", "--output", str(run), "--epochs", "1"]) == 0
    return run


def test_an_earlier_run_that_held_back_sealed_images_does_not_bring_them_in(
    report: Report, nosy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report("--source-run", str(nosy)) == 26
    error = capsys.readouterr().err
    assert "of the sealed test set" in error
    assert error.count("\n") == 1


def broken_json(line: Line, place: Path) -> Path:
    place.write_text('{"schema": "edge-inspect/evaluation/1"}')
    return place


def other_weights(line: Line, place: Path) -> Path:
    made = json.loads((line / "final.json").read_text())
    made["model"]["weights_sha256"] = "0" * 64
    place.write_text(json.dumps(made))
    return place


def other_classes(line: Line, place: Path) -> Path:
    made = json.loads((line / "final.json").read_text())
    made["model"]["labels"] = ["a", "b", "c"]
    place.write_text(json.dumps(made))
    return place


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (broken_json, "is not what train evaluate --json writes"),
        (other_weights, "is of a model with the weights 000000000000 and not "),
        (other_classes, "is of a model with the classes a, b, c and not crack, no_defect, stain"),
        (lambda line, _: line / "new" / "run.json", "is not what train evaluate --json writes"),
        (lambda line, _: line / "new.onnx", "cannot read"),
        (lambda _, place: place, "cannot read"),
    ],
)
def test_an_evaluation_of_something_else_is_refused(
    line: Line,
    report: Report,
    tmp_path: Path,
    make: Callable[[Line, Path], Path],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert report("--evaluation", str(make(line, tmp_path / "other.json"))) == 22
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_an_evaluation_at_another_rule_is_shown_with_a_warning(
    line: Line, report: Report, tmp_path: Path
) -> None:
    made = json.loads((line / "final.json").read_text())
    made["model"] |= {"thresholds_sha256": "1" * 64, "weights_sha256": None}
    (tmp_path / "old.json").write_text(json.dumps(made))
    assert report("--evaluation", str(tmp_path / "old.json")) == 0
    seen = text(tmp_path / "report.html")
    assert "The evaluation was made with another decision rule" in seen
    assert "The evaluation does not say which weights its model has" in seen


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--confidence", "1"], 2, "--confidence 1.0"),
        (["--workers", "0"], 2, "--workers 0"),
        (["--defect-rate", "2"], 2, "--defect-rate 2.0"),
        (["--out", "no/such/report.html"], 2, "there is no folder no/such"),
        (["--out", "LINE"], 2, "expected a file, this is a folder"),
        (["--out", "LINE/final.json"], 22, "exists already: name another file, or say --overwrite"),
        (["--out", "LINE/x.html", "--card", "LINE/x.html"], 2, "the page goes there"),
        (["--comparison", "LINE"], 22, "holds no finished comparison"),
        (["--audit", "LINE"], 22, "give the folder that `train audit --out` wrote"),
        (["--audit", "OTHER"], 22, "is not what train audit writes"),
        (["--split", "LINE"], 26, "is not a split"),
        (["--source-run", "LINE"], 22, "is not a run folder"),
        (["--source-run", "LINE/old", "--source-data-dir", "LINE"], 20, "cannot read LINE/"),
        (["--data-dir", "nowhere"], 20, "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    line: Line,
    report: Report,
    tmp_path: Path,
    flags: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "audit.json").write_text('{"schema": "edge-inspect/audit/1", "images": 3}')
    before = sorted(line.root.iterdir())
    words = [flag.replace("LINE", str(line.root)).replace("OTHER", str(tmp_path)) for flag in flags]
    assert report(*words) == code
    error = capsys.readouterr().err
    assert says.replace("LINE", str(line.root)) in error
    assert error.startswith("train: ")
    assert error.count("\n") == 1
    assert sorted(line.root.iterdir()) == before
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("run.json", 22, "is not a run folder"),
        ("best.pth", 22, "finish the run first"),
        ("metrics.csv", 22, "cannot read"),
        ("quarantine.csv", 22, "the images that were left out are not known"),
        ("split.csv", 22, "cannot read"),
    ],
)
def test_a_run_folder_that_is_not_whole_is_refused(
    line: Line,
    tmp_path: Path,
    name: str,
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    shutil.copytree(line / "new", tmp_path / "run")
    (tmp_path / "run" / name).unlink()
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "run"), "--out", str(out), "-j", "1"]) == code
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_a_report_that_is_there_is_replaced_when_that_is_said_and_whole_or_not_at_all(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    out.write_text("before")
    assert report() == 22

    def full_disk(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_text", full_disk)
        assert report("--overwrite") == 22
    assert out.read_text() == "before"
    assert list(tmp_path.iterdir()) == [out]
    assert report("--overwrite") == 0
    assert "Where it looks" in text(out)


def test_a_moved_split_is_found_where_it_is_said_to_be_and_another_is_refused(
    line: Line, report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(line / "split", tmp_path / "moved")
    assert report("--split", str(tmp_path / "moved")) == 0
    words = ["--data-dir", str(line / "new-images"), "--out", str(tmp_path / "other")]
    assert main(["split", *words, "--seed", "9"]) == 0
    assert report("--overwrite", "--split", str(tmp_path / "other")) == 26
    assert "is not the split that the run was started with" in capsys.readouterr().err
    assert report("--overwrite", "--split", str(tmp_path / "moved"), run="old") == 26
    assert "was not taught from a frozen split" in capsys.readouterr().err


def test_the_heat_maps_lie_over_frames_that_the_run_held_back(full: Path, line: Line) -> None:
    page = (full / "report.html").read_text(encoding="utf-8")
    held = {
        row.split(",")[0]
        for row in (line / "new" / "split.csv").read_text().splitlines()
        if row.split(",")[3] == "validation"
    }
    shown = re.findall(r"<code>([a-z_]+/new-\d+\.png)</code></figcaption>", page)
    assert shown
    assert set(shown) <= held
    assert cv2.imread(str(line / "new-images" / shown[0])) is not None


def test_a_run_that_is_not_finished_says_so_above_its_figures(line: Line, tmp_path: Path) -> None:
    shutil.copytree(line / "new", tmp_path / "run")
    metrics = tmp_path / "run" / "metrics.csv"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:2]))
    out = tmp_path / "report.html"
    assert main(["report", str(tmp_path / "run"), "--out", str(out), "-j", "1"]) == 0
    assert "The run is not finished: 1 of 2 epochs were taught" in text(out)
