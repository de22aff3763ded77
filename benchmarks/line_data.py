"""The simulated line's two generations as the benchmarks of `train` use them.

The one thing that is not a command is the second inspection: labels of the validation and the test
images are those of `true_label`, as if an expert had looked at each of them again, and the training
labels stay as the line delivers them, a fortieth of them wrong. Without that no bound could be kept:
two of a hundred good parts would be defective by their very labels.
"""

import argparse
import csv
import hashlib
from pathlib import Path

from benchmarks.steps import Step, step

_SIDES = ("train",) * 6 + ("validation",) * 4 + ("test",) * 6
"""Of sixteen modules: 6,000, 4,000 and 6,000 of 16,000 images."""


def configure(parser: argparse.ArgumentParser) -> None:
    """The flags that say how much there is, and at what size it is taught."""
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--source-images", type=int, default=20_000, help="of Gen-2")
    parser.add_argument("--target-images", type=int, default=16_000, help="of Gen-3")
    parser.add_argument("--crop-size", type=int, default=256, help="side of the files, pixels")
    parser.add_argument("--img-size", type=int, default=256, help="as of train fit")


def data_steps(arguments: argparse.Namespace) -> tuple[Step, ...]:
    """Both generations in `gen2` and `gen3`, and the frozen split of the second in `split`."""
    size = f" --img-size {arguments.crop_size}" if arguments.crop_size != 256 else ""
    return (
        step(
            f"simulate --generation gen2 --count {arguments.source_images} --defect-share 0.5 "
            f"--seed 21{size} --out gen2",
            "gen2",
        ),
        step(
            f"simulate --generation gen3 --count {arguments.target_images} --seed 31{size} --out gen3",
            "gen3",
        ),
        step(
            "split --data-dir gen3 --manifest inspected.csv --side-column side --out split",
            "split/split.json",
            prepare=_inspect_again,
        ),
    )


def _inspect_again(work: Path) -> None:
    """Write `inspected.csv`: a side for each module, and true labels where models are judged."""
    target = work / "gen3" / "inspected.csv"
    if target.exists():
        return
    with (work / "gen3" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        lot = int.from_bytes(hashlib.sha256(row["group"].encode()).digest()[:4], "big")
        row["side"] = _SIDES[lot % len(_SIDES)]
        if row["side"] != "train":
            row["label"] = row["true_label"]
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
