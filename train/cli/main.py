"""Entry of `train`: the only place where an error becomes an exit code.

Subcommands import torch when they run and not before, so that help and `train simulate` answer at once.
"""

import argparse
import shlex
import sys
from collections.abc import Sequence

from edge_runtime import __version__
from edge_runtime.errors import EdgeInspectError
from train.cli import evaluate, export, fit, simulate

_COMMANDS = (simulate, fit, export, evaluate)

_EPILOG = """\
from labelled crops to a model, in four commands:
  train simulate --generation gen3 --count 2000 --out runs/gen3 --seed 1
  train fit --data-dir runs/gen3 --output runs/first
  train export runs/first --out runs/first.onnx
  train evaluate runs/first.onnx --data-dir runs/exam

exit codes: 0 done, 2 usage, 5 engine, 8 model file, 20 data set, 21 weights, 22 run folder,
            23 diverged, 24 export, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(words)
    arguments.command_line = shlex.join(["train", *words])
    try:
        return int(arguments.run(arguments))
    except EdgeInspectError as exc:
        print(f"train: {exc}", file=sys.stderr)
        return exc.exit_code
    except KeyboardInterrupt:
        print(
            "train: interrupted; a run goes on from its last finished epoch with --resume",
            file=sys.stderr,
        )
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train",
        description="Teach an inspection model from labelled crops and export it to ONNX.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"train {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in _COMMANDS:
        sub = commands.add_parser(command.NAME, help=command.HELP, description=command.HELP)
        command.configure(sub)
        sub.set_defaults(run=command.run)
    return parser
