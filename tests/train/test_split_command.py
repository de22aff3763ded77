"""`train split` as a user types it, and what it refuses."""

from pathlib import Path

import cv2
import pytest

from tests.train.conftest import LABELS, draw
from train.cli.main import main


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four modules of one image of each class, in the order of days, and a manifest of them."""
    root = tmp_path_factory.mktemp("images")
    rows = ["path,label,group,captured_at,side"]
    for label in LABELS:
        (root / label).mkdir()
        for number in range(4):
            name = f"{label}/{number}.png"
            cv2.imwrite(str(root / name), draw(label, number))
            side = ("train", "train", "validation", "test")[number]
            rows.append(f"{name},{label},{label}-{number},2025-03-0{number + 1}T06:00:00Z,{side}")
    (root / "manifest.csv").write_text("\n".join(rows) + "\n")
    return root


def split(images: Path, out: Path, *flags: str) -> int:
    return main(["split", "--data-dir", str(images), "--out", str(out), *flags])


def test_a_split_says_what_it_did(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(images, tmp_path / "s", "--time-ordered") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["class", "train", "validation", "test"]
    assert lines[1].split() == ["crack", "2", "1", "1"]
    assert lines[4].split() == ["all", "6", "3", "3"]
    assert lines[5].startswith("the test set begins at 2025-03-04T06:00:00+00:00; 0 of its images")
    assert "train fit --split" in lines[-1]
    assert sorted(file.name for file in (tmp_path / "s").iterdir()) == [
        "ledger.jsonl", "quarantine.csv", "sealed.csv", "split.csv", "split.json",
    ]  # fmt: skip


def test_a_column_may_say_who_stands_where(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert split(images, tmp_path / "s", "--side-column", "side") == 0
    assert capsys.readouterr().out.splitlines()[4].split() == ["all", "6", "3", "3"]


@pytest.mark.parametrize(
    ("change", "flags", "code", "expected"),
    [
        (("", ""), ["--side-column", "lado"], 2, "--side-column lado: "),
        (("", ""), ["--side-column", "side", "--seed", "1"], 2, "leave out --test-split"),
        (("", ""), ["--side-column", "label"], 20, "says 'crack' of crack/0.png: expected train"),
        (("", ""), ["--test-split", "0.7"], 2, "--test-split 0.7: expected a share above 0"),
        (("", ""), ["--where", "label=crack"], 20, "has the class 'crack' only"),
        (("", ""), ["--where", "group!=crack-0", "--where", "group!=crack-1"], 20, "in two groups"),
        (
            ("2025-03-02T06:00:00Z", ""),
            ["--time-ordered"],
            20,
            "3 of 12 images have no captured_at",
        ),
        (("crack/0.png", "crack/9.png"), [], 20, "1 of 12 files that do not exist"),
        (
            (",crack-", ",one-"),
            ["--group-column", "label"],
            20,
            "class 'crack' has 4 usable images",
        ),
    ],
)
def test_what_cannot_be_is_one_line_and_leaves_nothing(
    change: tuple[str, str],
    flags: list[str],
    code: int,
    expected: str,
    images: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = (images / "manifest.csv").read_text()
    (images / "changed.csv").write_text(rows.replace(*change) if change[0] else rows)
    assert split(images, tmp_path / "s", "--manifest", "changed.csv", *flags) == code
    message = capsys.readouterr().err
    assert expected in message
    assert message.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_an_all_corrupt_class_is_refused(
    images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "images"
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(4):
            whole = (images / label / f"{number}.png").read_bytes()
            (root / label / f"{number}.png").write_bytes(whole[:99] if label == "stain" else whole)
    assert split(root, tmp_path / "s") == 20
    assert "none of the 4 images of class 'stain' can be decoded" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()
