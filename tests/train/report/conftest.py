"""A whole line at a tiny size, two cameras and all: what every command before `train report` leaves."""

import csv
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import pytest

from tests.train.conftest import LABELS, SIDE, draw
from train.cli.main import main

FIT = shlex.split(
    f"--model test_efficientnet --img-size {SIDE} --epochs 2 --freeze-epochs 0 --warmup-epochs 0 -b 8 "
    "--min-epoch-images 0 --seed 3 -j 1"
)


def write_camera(root: Path, prefix: str, first: int, count: int) -> Path:
    """`count` images of each class from number `first` on, two in a group, and a damaged one."""
    rows = [("path", "label", "group", "line")]
    for label in LABELS:
        (root / label).mkdir(parents=True)
        for number in range(first, first + count):
            name = f"{label}/{prefix}-{number}.png"
            cv2.imwrite(str(root / name), draw(label, number)[..., ::-1])
            rows.append((name, label, f"{prefix}-{label}-{number // 2}", f"L{number % 2}"))
    damaged = f"stain/{prefix}-damaged.png"
    (root / damaged).write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    rows.append((damaged, "stain", f"{prefix}-damaged", "L0"))
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Folders and files by what they are."""

    root: Path

    def __truediv__(self, name: str) -> Path:
        return self.root / name

    @property
    def everything(self) -> list[str]:
        """The flags that name all that a report takes."""
        named = {"evaluation": "final.json", "comparison": "compared", "audit": "audit"}
        return [word for flag, name in named.items() for word in (f"--{flag}", str(self / name))]


@pytest.fixture(scope="session")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    root = tmp_path_factory.mktemp("line")
    old = write_camera(root / "old-images", "old", 100, 8)
    new = write_camera(root / "new-images", "new", 0, 18)
    split = ["--split", str(root / "split")]
    sides = ["--val-split", "0.4", "--test-split", "0.25"]
    scratch = ["--initial-weights", "scratch", *FIT]
    arms = shlex.split("--arm scratch --arm source --shares 0.5 1 --seeds 1 --resamples 50")
    source = ["--source-data-dir", str(old), *arms, *FIT]
    for words in (
        ["fit", "--data-dir", str(old), "--output", str(root / "old"), *scratch],
        ["split", "--data-dir", str(new), "--out", str(root / "split"), *sides],
        ["fit", *split, "--initial-weights", str(root / "old"), "--output", str(root / "new"), *FIT],
        ["calibrate", str(root / "new"), "--accept-unmet"],
        ["export", str(root / "new"), "--out", str(root / "new.onnx")],
        ["evaluate", str(root / "new.onnx"), *split, "--final", "--json", str(root / "final.json")],
        ["audit", *split, "--no-label-errors", "--out", str(root / "audit"), "--workers", "1"],
        ["compare", *split, "--out", str(root / "compared"), *source],
    ):  # fmt: skip
        assert main(words) == 0, words
    return Line(root=root)


@pytest.fixture(scope="session")
def full(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page and the card of everything that there is."""
    folder = tmp_path_factory.mktemp("full")
    targets = ["--out", str(folder / "report.html"), "--card", str(folder / "MODEL_CARD.md")]
    assert main(["report", str(line / "new"), *targets, *line.everything, "-j", "1"]) == 0
    return folder


@pytest.fixture
def report(line: Line, tmp_path: Path) -> Callable[..., int]:
    """Report the run with these flags into `tmp_path / "report.html"`; the exit code."""

    def made(*flags: str, run: str = "new") -> int:
        out = ["--out", str(tmp_path / "report.html")] if "--out" not in flags else []
        return main(["report", str(line / run), *out, "-j", "1", *flags])

    return made
