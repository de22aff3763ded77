"""`train evaluate`: an exported model on labelled images it was not taught with."""

import argparse
from dataclasses import replace
from pathlib import Path

from edge_runtime.errors import UsageError
from train.cli.source import configure_source, source

NAME = "evaluate"
HELP = "measure an exported model on labelled images"

_EPILOG = """\
examples:
  train simulate --generation gen3 --count 2000 --clean --out runs/exam --seed 99
  train evaluate runs/first.onnx --data-dir runs/exam
  train evaluate runs/first.onnx --data-dir runs/exam --defect-rate 0.08 --modules-per-month 1800000

The model decides by its own rule, as at the line. Parts for review count as found, and as their
likeliest defect in the confusion matrix. Images that cannot be decoded are counted and left out.
Intervals are two-sided and respect groups: exact ones for shares of parts, bootstrap over groups else.
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
    parser.add_argument(
        "--confidence",
        type=float,
        default=0.95,
        metavar="SHARE",
        help="of the intervals (default: %(default)s)",
    )
    line = parser.add_argument_group("line", "what the cost of errors is reckoned for")
    line.add_argument(
        "--modules-per-month",
        type=int,
        default=1_800_000,
        metavar="N",
        help="one image is taken to be one module (default: %(default)s)",
    )
    line.add_argument(
        "--defect-rate",
        type=float,
        metavar="SHARE",
        help="share of them that are defective (default: as in the data)",
    )


def run(arguments: argparse.Namespace) -> int:
    if not 0.5 <= arguments.confidence < 1:
        raise UsageError(f"--confidence {arguments.confidence}: expected 0.5 to below 1")
    from train.evidence.cost import Volume, costs
    from train.evidence.examine import examine
    from train.figures.counts import confusion_table

    # Before the images are gone through: what the flags name must be possible.
    volume = Volume(modules=arguments.modules_per_month, defect_rate=arguments.defect_rate or 0.0)
    found = examine(
        arguments.model,
        source(arguments),
        engine=arguments.engine,
        threads=arguments.threads,
        confidence=arguments.confidence,
    )
    print(found.metrics.summary())
    if found.undecodable:
        one = found.undecodable == 1
        print(
            f"{found.undecodable} {'image' if one else 'images'} could not be decoded and "
            f"{'was' if one else 'were'} left out"
        )
    print(confusion_table(found.metrics, tuple(found.metrics.recall)))
    print(
        f"\n{'figure':<26} {'value':>7}  {f'{arguments.confidence:.0%} interval':<18} {'images':>8}  "
        f"({found.groups} groups)"
    )
    print("\n".join(figure.row() for figure in found.figures))
    if arguments.defect_rate is None:
        volume = replace(volume, defect_rate=found.defect_rate)
    print(f"\nof {volume.modules:,} modules a month, {volume.defect_rate:.2%} of them defective:")
    print("\n".join(f"  {cost.sentence()}" for cost in costs(found.figures, volume)))
    return 0
