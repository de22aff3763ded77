"""From a frozen split to its opening: split, fit, calibrate, export, evaluate, as a user types them."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.train.conftest import SIDE, write_folder
from train.cli.main import main
from train.data.freeze import freeze
from train.data.frozen_split import read_split
from train.data.manifest import Source
from train.data.split import Plan
from train.evidence.evaluation import read_evaluation
from train.fitting.record import read_record
from train.run_folder import RunFolder

FIT = (
    f"--model test_efficientnet --initial-weights scratch --img-size {SIDE} --epochs 1 "
    "--freeze-epochs 0 --warmup-epochs 0 -b 8 --min-epoch-images 0 --seed 3"
).split()


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a split, the run that was taught from it, and the run's model."""
    root = tmp_path_factory.mktemp("line")
    images = write_folder(root / "images", 14)
    rows = (images / "rows.csv").read_text().replace("file,kind,serial", "path,label,group")
    (images / "manifest.csv").write_text(rows)
    for words in (
        ["split", "--data-dir", str(images), "--out", str(root / "split"), "--test-split", "0.3"],
        ["fit", "--split", str(root / "split"), "--output", str(root / "run"), *FIT],
        ["calibrate", str(root / "run"), "--accept-unmet"],
        ["export", str(root / "run"), "--out", str(root / "model.onnx")],
    ):
        assert main(words) == 0
    return root


@pytest.fixture
def opened(line: Path, tmp_path: Path) -> Path:
    """A copy, so that each test opens a test set of its own."""
    for name in ("split", "run"):
        shutil.copytree(line / name, tmp_path / name)
    shutil.copy(line / "model.onnx", tmp_path)
    return tmp_path


def final(root: Path, model: str = "model.onnx", *flags: str) -> int:
    return main(["evaluate", str(root / model), "--split", str(root / "split"), "--final", *flags])


def test_the_run_taught_and_validated_with_the_frozen_sides_alone(line: Path) -> None:
    run = RunFolder(path=line / "run")
    split = read_split(line / "split")
    assert read_record(run).settings.split == split.reference
    with run.split.open(newline="") as file:
        used = {(row["path"], row["side"]) for row in csv.DictReader(file)}
    frozen = {
        (sample.path, side)
        for side in ("train", "validation")
        for sample in split.side(side).samples
    }
    assert used == frozen
    with (line / "split" / "sealed.csv").open(newline="") as file:
        sealed = {row["path"] for row in csv.DictReader(file)}
    assert len(sealed) >= 9
    assert not sealed & {path for path, _ in used}


def test_nothing_before_the_final_evaluation_reads_a_sealed_image(
    line: Path, tmp_path: Path
) -> None:
    with (line / "split" / "sealed.csv").open(newline="") as file:
        sealed = [row["path"] for row in csv.DictReader(file)]
    shutil.copytree(line / "images", tmp_path / "images")
    for path in sealed:
        (tmp_path / "images" / path).unlink()
    flags = ["--split", str(line / "split"), "--data-dir", str(tmp_path / "images")]
    assert main(["fit", *flags, "--output", str(tmp_path / "run"), *FIT]) == 0
    assert main(["calibrate", str(tmp_path / "run"), "--accept-unmet"]) == 0
    assert main(["export", str(tmp_path / "run"), "--out", str(tmp_path / "m.onnx")]) == 0
    assert main(["evaluate", str(tmp_path / "m.onnx"), *flags]) == 0
    audit = ["audit", *flags, "--no-label-errors", "--out", str(tmp_path / "audit")]
    assert main(audit) == 0
    # The control: who opens the seal does need them, and an opening is not spent on their absence.
    assert main(["evaluate", str(tmp_path / "m.onnx"), *flags, "--final"]) == 20
    assert read_split(line / "split").ledger.read() == ()


def test_who_validates_is_asked_once(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--split",
        str(line / "split"),
        "--val-split",
        "0.3",
        "--output",
        str(tmp_path / "run"),
    ]
    assert main(["fit", *words, *FIT]) == 2
    assert "leave out --val-split" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_the_model_itself_knows_which_images_are_sealed(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_hand = ["evaluate", str(line / "model.onnx"), "--data-dir", str(line / "images")]
    assert main(by_hand) == 26
    said = capsys.readouterr().err
    assert "of the named images" in said
    assert "--split SPLIT_FOLDER --final" in said
    assert read_split(line / "split").ledger.read() == ()
    # The control: the same images without the sealed ones may be looked at as often as one likes.
    shutil.copytree(line / "images", tmp_path / "images")
    rows = (tmp_path / "images" / "manifest.csv").read_text().splitlines(keepends=True)
    with (line / "split" / "sealed.csv").open(newline="") as file:
        sealed = {row["path"] for row in csv.DictReader(file)}
    kept = [row for row in rows if row.partition(",")[0] not in sealed]
    assert len(kept) == len(rows) - len(sealed)
    (tmp_path / "images" / "manifest.csv").write_text("".join(kept))
    by_hand[-1] = str(tmp_path / "images")
    assert main(by_hand) == 0


def test_every_opening_is_in_the_ledger_and_in_the_report(
    opened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert final(opened, "model.onnx", "--json", str(opened / "1.json")) == 0
    assert final(opened, "model.onnx", "--json", str(opened / "2.json")) == 0
    assert (
        "sealed test set: opened 2 times, for 1 different model, this time"
        in (capsys.readouterr().out.splitlines()[-1])
    )
    again = opened / "again.onnx"
    assert main(["export", str(opened / "run"), "--out", str(again), "--reviews", "0.5"]) == 0
    assert final(opened, "again.onnx", "--json", str(opened / "3.json")) == 0
    assert "opened 3 times, for 2 different models" in capsys.readouterr().out
    split = read_split(opened / "split")
    openings = split.ledger.read()
    reports = [read_evaluation(opened / f"{number}.json") for number in (1, 2, 3)]
    for number, (opening, report) in enumerate(zip(openings, reports, strict=True), start=1):
        assert opening.number == number
        assert opening.command == report.command
        assert opening.model_sha256 == report.model.sha256
        assert opening.thresholds_sha256 == report.model.thresholds_sha256
        assert report.data.split is not None
        assert report.data.split.sha256 == split.record.sha256
        assert report.data.split.taught is True
        assert report.data.split.opened is not None
        assert report.data.split.opened.times == number
        assert report.data.split.opened.entry_sha256 == opening.sha256
    calibration = json.loads((opened / "run" / "calibration.json").read_text())
    assert reports[0].model.thresholds_sha256 == calibration["thresholds_sha256"]


def test_a_damaged_ledger_keeps_the_test_set_closed(
    opened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert final(opened) == 0
    ledger = opened / "split" / "ledger.jsonl"
    whole = ledger.read_bytes()
    ledger.write_bytes(whole.replace(b'"number":1', b'"number":2'))
    capsys.readouterr()
    assert final(opened) == 26
    shown = capsys.readouterr()
    assert f"{ledger} line 1 is damaged or was changed" in shown.err
    assert not shown.out
    ledger.write_bytes(whole)
    assert final(opened) == 0


def test_the_validation_side_is_no_opening(
    opened: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for side in ("train", "validation"):
        words = ["evaluate", str(opened / "model.onnx"), "--split", str(opened / "split")]
        assert main([*words, "--side", side, "--json", str(opened / "e.json")]) == 0
        made = read_evaluation(opened / "e.json")
        assert made.data.split is not None
        assert (made.data.split.side, made.data.split.opened) == (side, None)
    assert "sealed" not in capsys.readouterr().out
    assert (opened / "split" / "ledger.jsonl").read_bytes() == b""


def test_a_model_of_another_split_is_told(
    opened: Path, line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    freeze(Source(data_dir=line / "images"), opened / "other", Plan(seed=9), command="")
    words = ["evaluate", str(opened / "model.onnx"), "--split", str(opened / "other"), "--final"]
    assert main(words) == 0
    assert "the model was taught from another split: whether it has seen" in capsys.readouterr().out


def test_answers_can_be_read_one_by_one(opened: Path) -> None:
    flags = ["--json", str(opened / "e.json"), "--answers", str(opened / "a.csv")]
    assert final(opened, "model.onnx", *flags, "--slice", "line") == 0
    made = read_evaluation(opened / "e.json")
    assert made.answers == "a.csv"
    with (opened / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == made.data.images == sum(map(sum, made.confusion))
    labels = made.model.labels
    for truth, label in enumerate(labels):
        for given, answer in enumerate(labels):
            count = sum(row["label"] == label and row["answer"] == answer for row in rows)
            assert count == made.confusion[truth][given]
    defective = [row for row in rows if row["label"] != "no_defect"]
    found = [row for row in defective if row["outcome"] in {"defect", "review"}]
    assert made.figure("defect recall").value == len(found) / len(defective)
    thresholds = made.model.decision.thresholds
    for row in rows:
        assert (float(row["defect_score"]) >= thresholds.review_from) == (row["outcome"] != "ok")
    assert [(part.column, part.value) for part in made.slices] == [("line", "L0"), ("line", "L1")]
    assert sum(part.images for part in made.slices) == made.data.images


def test_a_run_does_not_go_on_with_another_split(
    opened: Path, line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["fit", "--resume", "--output", str(line / "run")]) == 0
    other = freeze(Source(data_dir=line / "images"), opened / "x", Plan(seed=9), command="")
    words = ["fit", "--resume", "--output", str(opened / "run")]
    assert main([*words, "--split", str(other.folder)]) == 2
    assert "--resume keeps the run's settings, in which split." in capsys.readouterr().err
    record = opened / "run" / "run.json"
    run_of = json.loads(record.read_text())
    run_of["settings"]["split"]["folder"] = str(other.folder)
    record.write_text(json.dumps(run_of))
    assert main(words) == 26
    assert "is not the split that the run was started with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "code", "expected"),
    [
        (["--final"], 2, "--data-dir or --split is needed"),
        (["--data-dir", ".", "--final"], 2, "--final and --side are of a frozen split"),
        (["--split", "SPLIT", "--final", "--side", "train"], 2, "leave out --side train"),
        (["--split", "SPLIT", "--where", "line=L0"], 2, "--split has lists of its own"),
        (["--split", "SPLIT", "--slice", "colour"], 2, "there are line, station, week"),
        (["--split", "SPLIT", "--slice", "station"], 2, "no image has a station; leave it out"),
        (["--split", "SPLIT", "--json", "no/such.json"], 2, "there is no folder no"),
        (["--split", "SPLIT", "--min-macro-f1", "2"], 2, "--min-macro-f1 2.0: expected a share"),
        (["--split", "."], 26, "is not a split: it has no split.json"),
    ],
)
def test_a_mistake_is_one_line_and_opens_nothing(
    flags: list[str], code: int, expected: str, line: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    words = [str(line / "split") if flag == "SPLIT" else flag for flag in flags]
    assert main(["evaluate", str(line / "model.onnx"), *words]) == code
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert re.search(expected, message)
    assert read_split(line / "split").ledger.read() == ()
