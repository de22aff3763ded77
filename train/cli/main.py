"""Entry of `train`.

Subcommands import torch when they run and not before, so that help and `train simulate` answer at once.
"""

import os
import sys
from collections.abc import Sequence

from edge_runtime.cli.program import Program
from train.cli import (
    audit,
    calibrate,
    compare,
    crosscheck,
    evaluate,
    export,
    fit,
    index,
    plan,
    refresh,
    report,
    simulate,
    split,
)

_EPILOG = """\
from labelled crops to a model that was judged on images nobody had looked at, in eight commands:
  train simulate --generation gen3 --count 2000 --out runs/gen3 --seed 1
  train audit --data-dir runs/gen3 --out runs/gen3-audit
  train split --data-dir runs/gen3 --out runs/gen3-split
  train fit --split runs/gen3-split --output runs/first
  train calibrate runs/first
  train export runs/first --out runs/first.onnx
  train evaluate runs/first.onnx --split runs/gen3-split --final --json runs/final.json
  train report runs/first --evaluation runs/final.json --out report.html --card MODEL_CARD.md

exit codes: 0 done, 2 usage, 3 bundle, 5 engine, 8 model file, 10 verdicts differ, 20 data set,
            21 weights, 22 run folder, 23 diverged, 24 export, 25 bounds not met, 26 split or seal,
            27 over budget, 28 not shown to be no worse, 130 interrupted
"""

PROGRAM = Program(
    name="train",
    description="Teach an inspection model from labelled crops and export it to ONNX.",
    epilog=_EPILOG,
    commands=(
        simulate,
        index,
        audit,
        split,
        plan,
        fit,
        calibrate,
        export,
        evaluate,
        compare,
        crosscheck,
        refresh,
        report,
    ),
    on_interrupt="interrupted; a run goes on from its last finished epoch with --resume",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    # Read when torch is imported. Its threads else spin while they wait for each other, which is dear
    # where something else runs too: 4 images/s in place of 37 on two cores of which one was busy.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    return PROGRAM.main(words)
