"""`optimize inspect`: what is inside a bundle."""

import argparse
from pathlib import Path

from edge_runtime.bundle import open_bundle
from optimize import report
from optimize.tensorrt.description import describe

NAME = "inspect"
HELP = "show what is inside a bundle; every hash is checked on the way"

_EPILOG = """\
examples:
  optimize inspect bundles/weld-seam/1.0.0
  optimize inspect demo                          the bundle that ships with edge-inspect
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", metavar="BUNDLE", help="folder NAME/VERSION, or `demo`")


def run(arguments: argparse.Namespace) -> int:
    """Open, check and describe the bundle."""
    bundle = open_bundle(arguments.bundle)
    sizes = {file: Path(bundle.path, file).stat().st_size for file in bundle.manifest.files}
    print(report.describe(bundle.manifest, sizes))
    for device in bundle.manifest.devices:
        print(f"\n{describe(device)}")
    return 0
