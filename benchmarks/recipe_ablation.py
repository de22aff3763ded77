"""What each choice of the recipe is worth on the simulated line: `python -m benchmarks.recipe_ablation`.

One `train compare` whose arms differ in a single choice from the defaults, all from one run on Gen-2
and with equal budgets, taught with the labels of the line (imbalanced, a fortieth of them wrong) and
judged on the validation side of the split, whose labels are true ones (see `benchmarks.line_data`).
Differences are paired: the same groups drawn, the same seeds. The sealed test stays sealed.
"""

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks import line_data
from benchmarks.setting import setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step

CHOICES: Mapping[str, str] = {
    "default": "",
    "as-they-come": "--sampling-power 1 --logit-adjustment 0",
    "logit-adjustment-alone": "--sampling-power 1 --logit-adjustment 1",
    "square-root-alone": "--sampling-power 0.5 --logit-adjustment 0",
    "classes-equally-often": "--sampling-power 0 --logit-adjustment 0",
    "class-balanced-loss": "--sampling-power 1 --logit-adjustment 0 --loss class-balanced",
    "focal-loss": "--sampling-power 1 --logit-adjustment 0 --loss focal",
    "no-smoothing": "--smoothing 0",
    "smoothing-0.1": "--smoothing 0.1",
    "generalized-loss": "--loss generalized",
    "symmetric-loss": "--loss symmetric",
    "no-augmentation": "--no-aug",
    "layer-decay-0.8": "--layer-decay 0.8",
    "staged-unfreezing": "--freeze-epochs 1 --unfreeze-epochs 2",
    "no-averaged-weights": "--model-ema-decay 0",
    "batch-norm-anew": "--bn-images 2000",
}
"""Flags of `train fit` by what they are called here."""


def steps(arguments: argparse.Namespace) -> tuple[Step, ...]:
    """All commands, in order, as typed in the folder of the work."""
    size = f"--img-size {arguments.img_size}"
    start = arguments.initial_weights or "run-gen2"
    arms = (
        f"--arm {shlex.quote(f'{name}={start} {flags}'.strip())}" for name, flags in CHOICES.items()
    )
    taught = step(
        f"fit --data-dir gen2 {size} --val-split 0.1 {arguments.source_recipe} --output run-gen2",
        "run-gen2/best.pth",
    )
    compared = step(
        f"compare --split split {' '.join(arms)} --shares 1 --seeds {arguments.seeds} {size} "
        f"{arguments.recipe} --out ablation",
        "ablation/comparison.json",
    )
    return (
        *line_data.data_steps(arguments),
        *(() if arguments.initial_weights else (taught,)),
        compared,
    )


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    line_data.configure(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--initial-weights", metavar="RUN", help="a run on Gen-2 in WORK (default: make run-gen2)"
    )
    parser.add_argument("--source-recipe", default="", help="flags of train fit for Gen-2")
    parser.add_argument("--recipe", default="", help="flags of train compare for all arms")
    return parser.parse_args(words)


def main() -> None:
    """All steps that are not done yet, then the result."""
    arguments = parse()
    work: Path = arguments.work
    done = carry_out(steps(arguments), work)
    comparison = read_json(work / "ablation" / "comparison.json")
    # Of the pairs, those with the default are what is asked; all would be half a megabyte.
    for pairs in ("differences", "worths"):
        comparison[pairs] = [p for p in comparison[pairs] if "default" in (p["arm"], p["rival"])]
    result = setting("torch", "timm", "numpy") | {
        "steps": done,
        "choices": dict(CHOICES),
        "comparison": comparison,
    }
    print(write_result("recipe-ablation", result))


if __name__ == "__main__":
    main()
