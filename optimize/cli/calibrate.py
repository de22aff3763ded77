"""`optimize calibrate`: make a set of calibration images."""

import argparse
from pathlib import Path

from optimize import calibration_set
from optimize.cli.arguments import positive
from optimize.cli.progress import Progress

NAME = "calibrate"
HELP = "make a set of calibration images"

_EPILOG = """\
examples:
  optimize calibrate draw --out calibration_data
      the set in the repository: 96 images of the simulated line, the same every time
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the ways to make a set."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    ways = parser.add_subparsers(metavar="WAY", required=True)
    draw = ways.add_parser("draw", help="draw a set with the simulation, the same for everybody")
    draw.add_argument("--out", type=Path, required=True, metavar="DIR", help="where it goes")
    draw.add_argument(
        "--count",
        type=positive,
        default=calibration_set.COUNT,
        metavar="N",
        help=f"images, the classes in turn (default {calibration_set.COUNT})",
    )
    draw.add_argument(
        "--seed",
        type=positive,
        default=calibration_set.SEED,
        metavar="N",
        help=f"of the simulation (default {calibration_set.SEED}); keep it off training's seeds",
    )


def run(arguments: argparse.Namespace) -> int:
    """Draw the set."""
    with Progress().stage("drawing", arguments.count) as advanced:
        size = calibration_set.write(arguments.out, arguments.count, arguments.seed, advanced)
    print(f"wrote {arguments.count} images, {size / 1e6:.2f} MB, to {arguments.out}")
    return 0
