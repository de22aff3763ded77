"""`optimize estimate`: what a model will cost on a device that is not at hand."""

import argparse
import json

from optimize.cli.arguments import positive
from optimize.estimate.devices import DEVICES
from optimize.estimate.layers import Precision
from optimize.estimate.network import read_network
from optimize.estimate.published import table
from optimize.estimate.reckoning import estimate
from optimize.estimate.statement import as_values, in_words

NAME = "estimate"
HELP = "bound and estimate a model's latency on a device that is not at hand"
_LIMIT_MS = 30.0

_EPILOG = f"""\
examples:
  optimize estimate model.onnx --device t4
      every precision at batch 32, against a limit of {_LIMIT_MS:g} ms an image
  optimize estimate model.onnx --device orin-nx-16gb --precision int8 --batch 1 --limit-ms 5
  optimize estimate demo --device t4 --json      the shipped bundle, its float32 variant

devices: {", ".join(DEVICES)}

A bound is what the device needs at the least: per layer the longer of computing at its peak and moving
every activation once. An estimate is fitted to published T4 results; nothing is measured here. int8
stands for all layers in int8, whatever a build would keep in float.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "model", metavar="MODEL", help="an ONNX file with fixed image size, a bundle, or `demo`"
    )
    parser.add_argument(
        "--device", required=True, choices=list(DEVICES), metavar="DEVICE", help="see below"
    )
    parser.add_argument(
        "--precision",
        choices=[precision.value for precision in reversed(Precision)],
        help="one alone (default: int8, fp16 and float32)",
    )
    parser.add_argument("--batch", type=positive, default=32, metavar="N", help="default 32")
    parser.add_argument(
        "--limit-ms",
        type=_above_zero,
        default=_LIMIT_MS,
        metavar="MS",
        help=f"per image (default {_LIMIT_MS:g})",
    )
    parser.add_argument(
        "--top", type=positive, default=10, metavar="N", help="layers to list (default 10)"
    )
    parser.add_argument("--json", action="store_true", help="all of it as JSON, every layer")


def run(arguments: argparse.Namespace) -> int:
    """Estimate and print."""
    network = read_network(arguments.model)
    chosen = [Precision(arguments.precision)] if arguments.precision else reversed(Precision)
    device, basis = DEVICES[arguments.device], table.basis()
    estimates = [
        estimate(network, device, precision, arguments.batch, basis) for precision in chosen
    ]
    limit = arguments.limit_ms
    if arguments.json:
        print(json.dumps(as_values(estimates, basis.calibration, limit), indent=2))
    else:
        print(in_words(estimates, basis.calibration, limit, arguments.top))
    return 0


def _above_zero(written: str) -> float:
    """A number above zero."""
    try:
        value = float(written)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{written!r} is not a number above zero")
    return value
