"""How many Gen-3 labels an earlier training saves: `python -m benchmarks.label_budget`.

Four starts (scratch, ImageNet, Gen-2, ImageNet then Gen-2), equal budgets, at six shares of the labels:
`train compare`, judged on the validation side of the split, whose labels are true ones (see
`benchmarks.line_data`). The sealed test stays sealed. Goes on where it was interrupted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from benchmarks import line_data
from benchmarks.setting import RESULTS, setting, write_result
from benchmarks.steps import Step, carry_out, read_json, step
from train.evidence.comparison import read_comparison
from train.evidence.comparison_view import chart

PICTURE = RESULTS.parent / "pictures" / "label-budget.svg"


def steps(arguments: argparse.Namespace) -> tuple[Step, ...]:
    """All commands, in order, as typed in the folder of the work."""
    return (
        *line_data.data_steps(arguments),
        step(
            f"compare --split split --source-data-dir gen2 --seeds {arguments.seeds} "
            f"--img-size {arguments.img_size} {arguments.recipe} --out compared",
            "compared/comparison.json",
        ),
    )


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The flags."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    line_data.configure(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="", help="further flags of train compare")
    return parser.parse_args(words)


def main() -> None:
    """All steps that are not done yet, then the result and its picture."""
    arguments = parse()
    work: Path = arguments.work
    done = carry_out(steps(arguments), work)
    compared = work / "compared"
    result = setting("torch", "timm", "numpy") | {
        "steps": done,
        "comparison": read_json(compared / "comparison.json"),
    }
    PICTURE.write_text(chart(read_comparison(compared)), encoding="utf-8")
    print(write_result("label-budget", result))


if __name__ == "__main__":
    main()
