"""`train crosscheck`: a bundle's engine against the checkpoint compiled by torch-tensorrt."""

import argparse
from pathlib import Path

from optimize.cli.arguments import share

NAME = "crosscheck"
HELP = "compare a bundle's engine with the run's network compiled by torch-tensorrt, on a GPU"

_EPILOG = """\
examples:
  train crosscheck runs/first --bundle bundles/weld-seam/1.1.0
  train crosscheck runs/first --bundle bundles/weld-seam/1.1.0 --engine onnxruntime --variant float32

The bundle's engine came by ONNX, the other straight from the checkpoint. Both judge the images that the
run held back. Exit code 5 without torch-tensorrt or GPU, 10 when too many verdicts differ.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("run_folder", type=Path, metavar="RUN_FOLDER", help="what train fit wrote")
    parser.add_argument(
        "--bundle",
        type=Path,
        required=True,
        metavar="BUNDLE",
        help="built from that run; for the engine tensorrt, validated on this machine",
    )
    parser.add_argument(
        "--engine",
        default="tensorrt",
        metavar="NAME",
        help="of the bundle's side (default: %(default)s)",
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="of the bundle (default: what it recommends)"
    )
    parser.add_argument(
        "--max-flips",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="share of verdicts that may differ (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    from edge_runtime.bundle import open_bundle
    from optimize.errors import GateFailed
    from train.crosscheck import crosscheck, torch_tensorrt
    from train.fitting.run import Means
    from train.run_folder import RunFolder

    found = crosscheck(
        RunFolder(path=arguments.run_folder),
        open_bundle(arguments.bundle),
        Means(),
        torch_tensorrt(),
        engine=arguments.engine,
        variant=arguments.variant,
    )
    said = f"{len(found.flips)} of {found.images} verdicts differ from {found.engine}"
    for flip in found.flips:
        print(f"{flip.path} ({flip.label}): {flip.before.outcome} became {flip.after.outcome}")
    if len(found.flips) > arguments.max_flips * found.images:
        raise GateFailed(f"{said}; {arguments.max_flips:.1%} may")
    print(said)
    return 0
