"""A refresh from end to end on tiny data, and the two ways in which it must refuse."""

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.retrain import RetrainRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.retraining.pack import write_pack, zip_pack
from optimize.graph import read_model
from tests.train.conftest import LABELS, SIDE, draw
from train.cli.main import main
from train.data.frozen_split import read_split
from train.refresh.evidence import read_request
from train.refresh.record import read_refresh

FIT = (
    f"--model test_efficientnet --initial-weights scratch --img-size {SIDE} --epochs 4 "
    "--freeze-epochs 0 --warmup-epochs 0 -b 8 --lr 3e-3 --min-epoch-images 200 --seed 3"
).split()
MARGINS = [
    "--recall-margin",
    "0.2",
    "--false-positive-margin",
    "0.2",
    "--macro-f1-margin",
    "0.2",
    "--least-macro-f1",
    "0.5",
    "--exam-share",
    "0.4",
    "--test-share",
    "0.1",
    "--validation-share",
    "0.1",
    "--epochs",
    "2",
]


def write_images(root: Path, numbers: range, *, dim: float = 1.0) -> Path:
    """Images of all classes, a group each, as manifest; `dim` is how much of the light is left."""
    rows = ["path,label,group"]
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in numbers:
            name = f"{label}/{number}.png"
            cv2.imwrite(str(root / name), (draw(label, number) * dim).astype(np.uint8)[..., ::-1])
            rows.append(f"{name},{label},{label}-{number}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split, the run that was taught from it and the model that is on the line."""
    root = tmp_path_factory.mktemp("line")
    images = write_images(root / "images", range(60))
    for words in (
        ["split", "--data-dir", str(images), "--out", str(root / "split"), "--val-split", "0.4"],
        ["fit", "--split", str(root / "split"), "--output", str(root / "run"), *FIT],
        ["calibrate", str(root / "run"), "--accept-unmet"],
        ["export", str(root / "run"), "--out", str(root / "model.onnx")],
    ):
        assert main(words) == 0
    write_images(root / "labelled", range(100, 140), dim=0.55)
    return root


def refresh(line: Path, out: Path, labels: Path | None = None, *flags: str) -> int:
    words = ["refresh", str(line / "run"), "--model", str(line / "model.onnx"), "--out", str(out)]
    return main([*words, "--labels", str(labels or line / "labelled"), *MARGINS, *flags])


def relabelled(line: Path, target: Path, label_of: dict[str, str] | None) -> Path:
    """The new images under other labels: by table, or at random."""
    shutil.copytree(line / "labelled", target)
    random = np.random.default_rng(1)
    with (target / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (target / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for row in rows:
            row["label"] = label_of[row["label"]] if label_of else str(random.choice(LABELS))
            writer.writerow(row)
    return target


@pytest.fixture(scope="module")
def refreshed(line: Path) -> Path:
    assert refresh(line, line / "refresh") == 0
    return line / "refresh"


def test_a_refresh_that_is_no_worse_yields_a_candidate_with_its_evidence(refreshed: Path) -> None:
    made = read_refresh(refreshed / "refresh.json")
    assert made is not None
    assert made.accepted
    assert {finding.domain for finding in made.findings} == {"old", "new"}
    model = read_model(refreshed / "candidate.onnx")
    assert model.sha256 == made.candidate_sha256
    assert model.spec.provenance["split_sha256"] == made.split_sha256
    assert "run" in model.spec.provenance["initial_weights"]
    page = (refreshed / "refresh.html").read_text()
    assert "is a candidate" in page
    assert not (refreshed / ".examined.onnx").exists()


def test_the_sealed_side_is_carried_over_unopened_and_groups_stay_whole(
    line: Path, refreshed: Path
) -> None:
    before, after = read_split(line / "split"), read_split(refreshed / "split")
    assert before.ledger.read() == ()
    sealed = {sample.sha256 for sample in before.still_sealed()}
    assert sealed < {sample.sha256 for sample in after.still_sealed()}
    exam = after.exam()
    assert exam is not None
    teaching, split = after.teaching()
    sides = [
        {teaching.samples[i].group for i in split.train},
        {teaching.samples[i].group for i in split.validation},
        {sample.group for sample in exam.samples},
        {sample.group for sample in after.still_sealed()},
    ]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 3 * 100
    taught_before = {sample.sha256 for sample in before.side("train").samples}
    assert taught_before < {teaching.samples[i].sha256 for i in split.train}
    assert not taught_before & {sample.sha256 for sample in exam.samples}


def test_a_finished_refresh_is_not_done_again_and_another_agreement_is_refused(
    line: Path, refreshed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = (refreshed / "candidate.onnx").stat().st_mtime_ns
    assert refresh(line, refreshed) == 0
    assert (refreshed / "candidate.onnx").stat().st_mtime_ns == candidate
    assert refresh(line, refreshed, None, "--recall-margin", "0.5") == 22
    assert "agreement" in capsys.readouterr().err


def test_a_refresh_goes_on_where_it_was_interrupted(line: Path, tmp_path: Path) -> None:
    out = tmp_path / "refresh"
    assert refresh(line, out) == 0
    first = json.loads((out / "refresh.json").read_text())
    for lost in ("refresh.json", "candidate.onnx"):
        (out / lost).unlink()
    metrics = (out / "run" / "metrics.csv").read_bytes()
    assert refresh(line, out) == 0
    again = json.loads((out / "refresh.json").read_text())
    assert again["findings"] == first["findings"]
    assert (out / "run" / "metrics.csv").read_bytes() == metrics


def test_labels_that_are_garbage_yield_no_candidate(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    garbage = relabelled(line, tmp_path / "labels", None)
    assert refresh(line, tmp_path / "out", garbage) == 28
    assert "no candidate" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("**/candidate.onnx"))
    made = read_refresh(tmp_path / "out" / "refresh.json")
    assert made is not None
    assert any(f.question == "learnable" and not f.met for f in made.findings)
    assert refresh(line, tmp_path / "out", garbage) == 28


def test_labels_that_are_the_wrong_way_round_yield_no_candidate(line: Path, tmp_path: Path) -> None:
    swapped = {"no_defect": "crack", "crack": "no_defect", "stain": "no_defect"}
    labels = relabelled(line, tmp_path / "labels", swapped)
    assert refresh(line, tmp_path / "out", labels) == 28
    made = read_refresh(tmp_path / "out" / "refresh.json")
    assert made is not None
    assert any(f.question == "plausible" and not f.met for f in made.findings)


@pytest.mark.parametrize("leak", ["group", "content"])
def test_a_leak_of_the_sealed_side_is_refused(
    line: Path, tmp_path: Path, leak: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sealed = next(iter(read_split(line / "split").still_sealed()))
    labels = shutil.copytree(line / "labelled", tmp_path / "labels")
    name, group = "crack/100.png", sealed.group
    if leak == "content":
        name, group = "leak.png", "another-group"
        shutil.copy(line / "images" / sealed.path, labels / name)
    with (labels / "manifest.csv").open("a") as file:
        file.write(f"{'leak.png' if leak == 'content' else 'twin.png'},{sealed.label},{group}\n")
    if leak == "group":
        shutil.copy(labels / name, labels / "twin.png")
    assert refresh(line, tmp_path / "out", labels) == 26
    assert "sealed" in capsys.readouterr().err
    assert not (tmp_path / "out" / "run").exists()


def test_a_model_of_another_run_is_refused(
    line: Path, tmp_path: Path, exported_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["refresh", str(line / "run"), "--model", str(exported_model), "--out"]
    code = main([*words, str(tmp_path / "out"), "--labels", str(line / "labelled")])
    assert code == 22
    assert "was not exported from" in capsys.readouterr().err


def evidence(state_dir: Path, source_sha256: str) -> Path:
    """The pack of a station that runs a bundle of that float model."""
    request = RetrainRequest(
        id="20260302T142000Z-drift",
        at=datetime(2026, 3, 2, 14, 20, tzinfo=UTC),
        rule="drift",
        words="drift alarm: frames are darker",
        bundle="weld-seam/1.0.0",
        model_sha256="a" * 64,
        source_sha256=source_sha256,
        level=DriftLevel.ALARM,
        evidence="20260302T142000Z-drift",
    )
    write_pack(state_dir, "site", StationId.parse("L07-S3"), request, ())
    return state_dir / "evidence" / request.id


def test_the_request_is_told_and_one_about_another_model_is_refused(
    line: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = line / "model.onnx"
    other = evidence(tmp_path / "other", "c" * 64)
    assert refresh(line, tmp_path / "out", None, "--evidence", str(other)) == 22
    assert "name the model that the station runs" in capsys.readouterr().err
    own = evidence(tmp_path / "own", read_model(model).sha256)
    zip_pack(own, tmp_path / "pack.zip")
    assert read_request(tmp_path / "pack.zip", model).words == "drift alarm: frames are darker"
