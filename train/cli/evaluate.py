"""`train evaluate`: an exported model on labelled images it was not taught with."""

import argparse
from pathlib import Path

from train.cli.source import configure_source, source

NAME = "evaluate"
HELP = "measure an exported model on labelled images"

_EPILOG = """\
examples:
  train simulate --generation gen3 --count 2000 --clean --out runs/exam --seed 99
  train evaluate runs/first.onnx --data-dir runs/exam

The model decides by its own rule, as at the line. Parts for review count as found, and as their
likeliest defect in the confusion matrix. Images that cannot be decoded are counted and left out.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="what train export wrote")
    configure_source(parser, required=True)
    parser.add_argument(
        "--engine",
        default="onnxruntime",
        metavar="NAME",
        help="onnxruntime or openvino (default: %(default)s)",
    )
    parser.add_argument(
        "--threads", type=int, default=1, metavar="N", help="of the engine (default: %(default)s)"
    )


def run(arguments: argparse.Namespace) -> int:
    from train.evaluate import confusion_table
    from train.examine import examine

    found = examine(
        arguments.model, source(arguments), engine=arguments.engine, threads=arguments.threads
    )
    print(found.metrics.summary())
    if found.undecodable:
        one = found.undecodable == 1
        print(
            f"{found.undecodable} {'image' if one else 'images'} could not be decoded and "
            f"{'was' if one else 'were'} left out"
        )
    print(confusion_table(found.metrics, tuple(found.metrics.recall)))
    return 0
