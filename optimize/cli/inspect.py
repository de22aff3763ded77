"""`optimize inspect`: what is inside a bundle."""

import argparse
from pathlib import Path

from edge_runtime.bundle import open_bundle
from optimize import report
from optimize.cli.arguments import positive
from optimize.estimate import layer_tables
from optimize.estimate.devices import DEVICES
from optimize.estimate.network import read_variants
from optimize.tensorrt.description import describe

NAME = "inspect"
HELP = "show what is inside a bundle; every hash is checked on the way"

_EPILOG = """\
examples:
  optimize inspect bundles/weld-seam/1.0.0
  optimize inspect demo                          the bundle that ships with edge-inspect
  optimize inspect demo --layers                 which layers are int8, what each computes and moves
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", metavar="BUNDLE", help="folder NAME/VERSION, or `demo`")
    parser.add_argument("--layers", action="store_true", help="add each variant's layer table")
    parser.add_argument(
        "--device",
        choices=list(DEVICES),
        default="t4",
        help="on which the layers' share of the bound is reckoned (default t4)",
    )
    parser.add_argument(
        "--batch", type=positive, default=32, metavar="N", help="of that bound (default 32)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Open, check and describe the bundle."""
    bundle = open_bundle(arguments.bundle)
    sizes = {file: Path(bundle.path, file).stat().st_size for file in bundle.manifest.files}
    print(report.describe(bundle.manifest, sizes))
    for device in bundle.manifest.devices:
        print(f"\n{describe(device)}")
    if arguments.layers:
        reckoned = DEVICES[arguments.device]
        print(f"\n{layer_tables.of_variants(read_variants(bundle), reckoned, arguments.batch)}")
    return 0
