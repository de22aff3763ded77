"""Gen-2 to Gen-3 on the simulated line, from images to a sealed test: `python -m benchmarks.transfer_learning`.

Every step is a command of `train`, as a person would type it; a step whose result is there already is not
done again, so an interrupted run goes on. The one thing that is not a command is the second inspection:
labels of the validation and the test images are those of `true_label`, as if an expert had looked at each
of them again, and the training labels stay as the line delivers them, a fortieth of them wrong. Without
that no bound could be kept: two of a hundred good parts would be called defective by their very labels.

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

from benchmarks.setting import setting, write_result

_SIDES = ("train",) * 6 + ("validation",) * 4 + ("test",) * 6
"""Of sixteen modules: 6,000, 4,000 and 6,000 of 16,000 images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command and what it leaves behind."""

    words: tuple[str, ...]
    leaves: Path


def steps(work: Path, size: int, arguments: argparse.Namespace) -> tuple[Step, ...]:
    """All commands, in order; the sides are set between the second and the third."""
    gen2, gen3, split = work / "gen2", work / "gen3", work / "split"
    source, target, model = work / "run-gen2", work / "run-gen3", work / "model.onnx"
    fit = f"--model {arguments.model} --img-size {size} --seed {arguments.seed}"

    def step(line: str, leaves: Path) -> Step:
        return Step(words=tuple(shlex.split(line)), leaves=leaves)

    return (
        step(
            f"simulate --generation gen2 --count {arguments.source_images} --defect-share 0.5 "
            f"--seed 21 --out {gen2}",
            gen2,
        ),
        step(
            f"simulate --generation gen3 --count {arguments.target_images} --seed 31 --out {gen3}",
            gen3,
        ),
        step(
            f"split --data-dir {gen3} --manifest inspected.csv --side-column side --out {split}",
            split / "split.json",
        ),
        step(
            f"fit --data-dir {gen2} {fit} --val-split 0.1 {arguments.source_recipe} "
            f"--output {source}",
            source / "best.pth",
        ),
        step(
            f"fit --split {split} --initial-weights {source} {fit} {arguments.target_recipe} "
            f"--output {target}",
            target / "best.pth",
        ),
        step(
            f"calibrate {target} --min-recall {arguments.min_recall} "
            f"--max-false-positives {arguments.max_false_positives}",
            target / "calibration.json",
        ),
        step(f"export {target} --out {model}", model),
        step(
            f"evaluate {model} --split {split} --final --json {work / 'evaluation.json'} "
            f"--answers {work / 'answers.csv'}",
            work / "evaluation.json",
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


def carry_out(step: Step, log: Path) -> dict[str, object]:
    """Run one command; what it took, and what it said last."""
    began = time.perf_counter()
    with log.open("a", encoding="utf-8") as file:
        done = subprocess.run(
            [sys.executable, "-m", "train.cli", *step.words],
            check=False,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise SystemExit(f"train {shlex.join(step.words)} ended with {done.returncode}: see {log}")
    return {"command": f"train {shlex.join(step.words)}", "seconds": time.perf_counter() - began}


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
    took_file = work / "took.json"
    took = json.loads(took_file.read_text(encoding="utf-8")) if took_file.exists() else []
    for number, step in enumerate(steps(work, arguments.img_size, arguments)):
        if number == 2:
            inspect_again(work / "gen3")
        if step.leaves.exists():
            continue
        print("train", shlex.join(step.words), flush=True)
        took.append(carry_out(step, work / "log"))
        took_file.write_text(json.dumps(took), encoding="utf-8")
    evaluation = json.loads((work / "evaluation.json").read_text(encoding="utf-8"))
    result = setting("torch", "timm", "numpy", "onnxruntime") | {
        "took": took,
        "evaluation": evaluation,
    }
    print(write_result("transfer-learning", result))


if __name__ == "__main__":
    main()
