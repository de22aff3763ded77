"""From Gen-2 to a sealed Gen-3 test on the simulated line: `python -m benchmarks.transfer_learning`.

Every step is a command of `train`; a step whose result is there already is not done again, so an
interrupted run goes on. The labels that judge are true ones, see `benchmarks.line_data`.

Steps: simulate both generations, freeze the split, fit Gen-2 from ImageNet, fit Gen-3 from that,
calibrate, export, and open the sealed test once.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import line_data
from benchmarks.setting import setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step


def steps(arguments: argparse.Namespace) -> tuple[Step, ...]:
    """All commands, in order, as typed in the folder of the work."""
    fit = f"--model {arguments.model} --img-size {arguments.img_size} --seed {arguments.seed}"
    return (
        *line_data.data_steps(arguments),
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


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    line_data.configure(parser)
    parser.add_argument("--model", default="tf_efficientnet_lite0")
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
    done = carry_out(steps(arguments), work)
    result = setting("torch", "timm", "numpy", "onnxruntime") | {
        "steps": done,
        "options": {name: value for name, value in vars(arguments).items() if name != "work"},
        "split": read_json(work / "split" / "split.json")["images"],
        "openings": len((work / "split" / "ledger.jsonl").read_text("utf-8").splitlines()),
        "evaluation": read_json(work / "evaluation.json"),
    }
    print(write_result("transfer-learning", result))


if __name__ == "__main__":
    main()
