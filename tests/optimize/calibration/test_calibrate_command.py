"""`optimize calibrate select` as a user types it, and what it refuses."""

import csv
import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edge_runtime.contracts.manifest import InputSpec
from optimize.cli.main import main
from optimize.data.dataset import open_dataset
from optimize.data.images import Image, read_images
from tests.optimize.tiny_network import COLOURS, LABELS, SIZE, make_image, png

MakeFolder = Callable[..., Path]
Select = Callable[..., int]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """A training manifest: 30 red, 8 green, 2 blue, three images a module, of two generations."""
    root = tmp_path / "train"
    root.mkdir()
    labels = ["red"] * 30 + ["green"] * 8 + ["blue"] * 2
    rows = []
    for index, label in enumerate(labels):
        (root / f"{index:02d}.png").write_bytes(png(make_image(label, index)))
        generation = "gen3" if index % 2 else "gen2"
        rows.append((f"{index:02d}.png", label, f"M{index // 3}", generation, "L1"))
    with (root / "manifest.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group", "generation", "line"))
        writer.writerows(rows)
    return root


@pytest.fixture
def select(model_file: Path, train: Path, tmp_path: Path) -> Select:
    def run(*flags: str, of: Path = train, out: Path = tmp_path / "set") -> int:
        words = ["calibrate", "select", str(of), "--model", str(model_file), "--out", str(out)]
        return main([*words, *flags])

    return run


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_set_is_balanced_says_where_it_comes_from_and_keeps_the_bytes(
    select: Select, train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert select("--count", "10") == 0
    chosen = rows(tmp_path / "set")
    assert Counter(row["label"] for row in chosen) == {"red": 4, "green": 4, "blue": 2}
    assert {row["domain"] for row in chosen} == {"gen2/L1", "gen3/L1"}
    for row in chosen:
        data = (tmp_path / "set" / row["path"]).read_bytes()
        assert data == (train / row["origin"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
    # No two red ones of a module, since there are ten.
    reds = [int(row["origin"][:2]) // 3 for row in chosen if row["label"] == "red"]
    assert len(set(reds)) == 4
    printed = capsys.readouterr().out
    assert "chose 2 of 2 blue, 4 of 8 green, 4 of 30 red" in printed


def test_a_build_calibrates_on_the_set(
    select: Select, model_file: Path, make_folder: MakeFolder, tmp_path: Path
) -> None:
    assert select("--count", "40") == 0
    images = list(read_images(open_dataset(tmp_path / "set"), InputSpec(height=SIZE, width=SIZE)))
    assert len(images) == 40
    assert all(isinstance(image, Image) for image in images)
    words = ["build", str(model_file), "--int8", "--calibration", str(tmp_path / "set")]
    words += ["--validation", str(make_folder("validation", per_class=20))]
    flags = ["--latency-samples", "1", "--max-false-positives", "0.2"]
    assert main([*words, *flags, "--out", str(tmp_path / "out")]) == 0


def test_the_same_data_and_model_give_the_same_set(select: Select, tmp_path: Path) -> None:
    assert select("--count", "10", out=tmp_path / "first") == 0
    assert select("--count", "10", out=tmp_path / "again") == 0
    first, again = ((tmp_path / name / "manifest.csv").read_bytes() for name in ("first", "again"))
    assert first == again


def test_people_see_what_was_chosen_class_by_class(select: Select, tmp_path: Path) -> None:
    assert select("--count", "10") == 0
    sheet = cv2.cvtColor(cv2.imread(str(tmp_path / "set" / "calibration.jpg")), cv2.COLOR_BGR2RGB)
    middle = 24 + 48  # of the first tile below a heading of 24 pixels
    for number, label in enumerate(sorted(LABELS)):
        pixel = sheet[number * (24 + 100) + middle, 4 + 48].astype(int)
        assert abs(pixel - COLOURS[label]).max() < 60


def test_of_too_many_images_a_stated_number_is_looked_at_and_the_rare_stay(
    select: Select, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert select("--count", "9", "--candidates", "12") == 0
    assert "looking at 12 of 40 images, evenly spread" in capsys.readouterr().err
    assert Counter(row["label"] for row in rows(tmp_path / "set"))["blue"] == 2


def test_a_sealed_image_among_the_candidates_is_refused(
    select: Select, train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    split = tmp_path / "split"
    split.mkdir()
    sealed = hashlib.sha256((train / "07.png").read_bytes()).hexdigest()
    (split / "sealed.csv").write_text(f"path,sha256\nelsewhere.png,{sealed}\n")
    assert select("--sealed", str(split)) == 9
    assert "1 of the candidate images" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    (split / "sealed.csv").write_text(f"path,sha256\nelsewhere.png,{'0' * 64}\n")
    assert select("--sealed", str(split)) == 0


def test_corrupt_and_missing_files_are_counted_and_named(
    select: Select, train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (train / "38.png").write_bytes(b"garbage")
    (train / "39.png").unlink()
    assert select("--count", "40") == 0
    err = capsys.readouterr().err
    assert "warning: 2 files cannot be used: 38.png: " in err
    assert "39.png: No such file" in err
    assert "warning: no calibration image of blue" in err
    assert len(rows(tmp_path / "set")) == 38


def test_copies_are_left_out_and_that_is_said(
    select: Select, train: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (train / "39.png").write_bytes((train / "38.png").read_bytes())
    assert select("--count", "40") == 0
    assert "39 instead of 40: 40 can be used" in capsys.readouterr().out
    assert len(rows(tmp_path / "set")) == 39


def test_a_folder_that_exists_stays_as_it_is(
    select: Select, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set").mkdir()
    assert select() == 11
    assert "stays as it is: choose another --out" in capsys.readouterr().err
    assert not list((tmp_path / "set").iterdir())


def test_conditions_and_columns_of_the_manifest_are_heeded(
    select: Select, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert select("--count", "4", "--where", "generation=gen2", "--where", "label!=blue") == 0
    assert {row["domain"] for row in rows(tmp_path / "set")} == {"gen2/L1"}
    assert select("--label-column", "kind", out=tmp_path / "other") == 20
    assert "no column 'kind'" in capsys.readouterr().err


def test_a_write_that_fails_leaves_nothing_behind(
    select: Select, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("optimize.calibration.chosen_set.contact_sheet", full)
    assert select("--count", "4") == 11
    assert {path.name for path in tmp_path.iterdir()} == {"tiny.onnx", "train"}


def test_images_in_a_shard_are_taken_out_as_they_are(select: Select, tmp_path: Path) -> None:
    files = {}
    for index, label in enumerate(LABELS * 2):
        files |= {f"{index}.png": png(make_image(label, index)), f"{index}.cls": label.encode()}
    (tmp_path / "plant").mkdir()
    with tarfile.open(tmp_path / "plant" / "a.tar", "w") as shard:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    assert select("--count", "3", of=tmp_path / "plant") == 0
    chosen = rows(tmp_path / "set")
    assert sorted(row["label"] for row in chosen) == sorted(LABELS)
    for row in chosen:
        shard, _, member = row["origin"].partition("/")
        assert shard == "a.tar"
        assert (tmp_path / "set" / row["path"]).read_bytes() == files[member]
