"""From Gen-2 to a sealed Gen-3 test on the simulated line: `python -m benchmarks.transfer_learning`.

Every step is a command of `train`, as a person would type it; a step whose result is there already is
not done again, so an interrupted run goes on. The one thing that is not a command is the second
inspection: labels of the validation and the test images are those of `true_label`, as if an expert had
looked at each of them again, and the training labels stay as the line delivers them, a fortieth of them
wrong. Without that no bound could be kept: two of a hundred good parts would be defective by their very
labels.

Steps: simulate both generations, set the sides by module, freeze the split, fit Gen-2 from ImageNet, fit
Gen-3 from that, calibrate, export, and open the sealed test once.
"""

import argparse
import csv
import hashlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.setting import setting, write_result

_SIDES = ("train",) * 6 + ("validation",) * 4 + ("test",) * 6
"""Of sixteen modules: 6,000, 4,000 and 6,000 of 16,000 images."""
_SIDES_BEFORE = 2
"""The step that needs the sides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command and what it leaves behind."""

    words: tuple[str, ...]
    leaves: str
    """What there is when it is done."""

    @property
    def line(self) -> str:
        """As typed."""
        return f"train {shlex.join(self.words)}"


def steps(arguments: argparse.Namespace) -> tuple[Step, ...]:
    """All commands, in order, as typed in the folder of the work; the sides are set after the second."""
    fit = f"--model {arguments.model} --img-size {arguments.img_size} --seed {arguments.seed}"

    def step(line: str, leaves: str) -> Step:
        return Step(words=tuple(shlex.split(line)), leaves=leaves)

    return (
        step(
            f"simulate --generation gen2 --count {arguments.source_images} --defect-share 0.5 "
            "--seed 21 --out gen2",
            "gen2",
        ),
        step(
            f"simulate --generation gen3 --count {arguments.target_images} --seed 31 --out gen3",
            "gen3",
        ),
        step(
            "split --data-dir gen3 --manifest inspected.csv --side-column side --out split",
            "split/split.json",
        ),
        step(
            f"fit --data-dir gen2 {fit} --val-split 0.1 {arguments.source_recipe} --output run-gen2",
            "run-gen2/best.pth",
        ),
        step(
            f"fit --split split --initial-weights run-gen2 {fit} {arguments.target_recipe} "
            "--output run-gen3",
            "run-gen3/best.pth",
        ),
        step(
            f"calibrate run-gen3 --min-recall {arguments.min_recall} "
            f"--max-false-positives {arguments.max_false_positives}",
            "run-gen3/calibration.json",
        ),
        step("export run-gen3 --out model.onnx", "model.onnx"),
        step(
            "evaluate model.onnx --split split --final --json evaluation.json --answers answers.csv",
            "evaluation.json",
        ),
    )


def inspect_again(folder: Path) -> None:
    """Write `inspected.csv`: a side for each module, and true labels where models are judged."""
    target = folder / "inspected.csv"
    if target.exists():
        return
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
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


def carry_out(step: Step, work: Path) -> float:
    """Run one command in the folder of the work; the seconds that it took."""
    began = time.perf_counter()
    with (work / "log").open("a", encoding="utf-8") as log:
        done = subprocess.run(
            [sys.executable, "-m", "train.cli", *step.words],
            check=False,
            cwd=work,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise SystemExit(f"{step.line} ended with {done.returncode}: see {work / 'log'}")
    return time.perf_counter() - began


def read_json(file: Path) -> dict[str, Any]:
    """What a step left."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for data and runs")
    parser.add_argument("--source-images", type=int, default=20_000)
    parser.add_argument("--target-images", type=int, default=16_000)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
    parser.add_argument("--img-size", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--source-recipe", default="", help="flags of train fit for Gen-2")
    parser.add_argument("--target-recipe", default="", help="flags of train fit for Gen-3")
    parser.add_argument("--min-recall", type=float, default=0.95)
    parser.add_argument("--max-false-positives", type=float, default=0.01)
    return parser.parse_args(words)


def main() -> None:
    """All steps that are not done yet, then the result."""
    arguments = parse()
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    seconds_file = work / "seconds.json"
    seconds = read_json(seconds_file) if seconds_file.exists() else {}
    everything = steps(arguments)
    for number, step in enumerate(everything):
        if number == _SIDES_BEFORE:
            inspect_again(work / "gen3")
        if (work / step.leaves).exists():
            continue
        print(step.line, flush=True)
        seconds[step.line] = round(carry_out(step, work))
        seconds_file.write_text(json.dumps(seconds), encoding="utf-8")
    result = setting("torch", "timm", "numpy", "onnxruntime") | {
        "steps": [{"command": step.line, "seconds": seconds.get(step.line)} for step in everything],
        "options": {name: value for name, value in vars(arguments).items() if name != "work"},
        "split": read_json(work / "split" / "split.json")["images"],
        "openings": len((work / "split" / "ledger.jsonl").read_text("utf-8").splitlines()),
        "evaluation": read_json(work / "evaluation.json"),
    }
    print(write_result("transfer-learning", result))


if __name__ == "__main__":
    main()
