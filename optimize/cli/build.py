"""`optimize build`: quantise, compare with the float model, measure, write the bundle."""

import argparse
import sys
from pathlib import Path

from optimize import latency, package, report
from optimize.builder import INT8, Built, Order, build
from optimize.calibration.ranges import Method
from optimize.cli.arguments import columns, conditions, configure_columns, positive, share
from optimize.cli.progress import Progress
from optimize.data.sealed import read_sealed

NAME = "build"
HELP = "write a bundle from a float ONNX model: quantised, compared, measured"

_EPILOG = """\
examples:
  optimize build --int8 model.onnx --calibration calibration_data --out bundles
      writes bundles/weld-seam/1.0.0
  optimize build --int8 model.onnx --calibration calibration_data --validation data/gen3-val \\
                 --out bundles/weld-seam/1.1.0
      compares verdicts on images that int8 was not fitted to
  optimize build model.onnx --calibration calibration_data --out bundles --version 1.0.1
      float32 alone

Where --out ends in a version (.../weld-seam/1.1.0), it is the bundle's folder. Otherwise the folder is
OUT/NAME/VERSION. A bundle that exists is never touched. If int8 changes more verdicts than --max-flips
allows, nothing is written and the exit code is 10.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="from `train export`")
    parser.add_argument(
        "--calibration",
        type=Path,
        required=True,
        metavar="DIR",
        help="images that int8 is fitted to: a folder with manifest.csv, manifest.parquet, tar shards "
        "or a sub-folder per class; or the manifest itself",
    )
    parser.add_argument(
        "--validation",
        type=Path,
        metavar="DIR",
        help="labelled images to compare verdicts on (default: the calibration images)",
    )
    configure_columns(parser.add_argument_group("columns", "of the manifests of both"))
    parser.add_argument(
        "--sealed",
        type=Path,
        metavar="SPLIT_FOLDER",
        help="what train split wrote: refuse its sealed test images among those of both",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="where the bundle goes; see below"
    )
    parser.add_argument("--int8", action="store_true", help="add an int8 variant for the CPU")
    parser.add_argument("--name", help=f"of the bundle (default {package.NAME})")
    parser.add_argument("--version", help=f"of the bundle (default {package.VERSION})")
    parser.add_argument(
        "--method",
        choices=["auto", *Method],
        default="auto",
        help="how int8 ranges are taken (default: try each, keep the best)",
    )
    parser.add_argument(
        "--max-flips",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="share of verdicts that int8 may change (default 0.02)",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        nargs="+",
        default=[1],
        metavar="N",
        help="thread counts to measure (default 1)",
    )
    parser.add_argument(
        "--latency-samples",
        type=positive,
        default=latency.SAMPLES,
        metavar="N",
        help=f"batches of one to time; larger batches take fewer (default {latency.SAMPLES})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build and print the summary."""
    built = build(
        Order(
            model=arguments.model,
            calibration=arguments.calibration,
            validation=arguments.validation,
            target=package.locate(arguments.out, arguments.name, arguments.version),
            int8=arguments.int8,
            method=None if arguments.method == "auto" else Method(arguments.method),
            max_flips=arguments.max_flips,
            threads=tuple(arguments.threads),
            latency_samples=arguments.latency_samples,
            columns=columns(arguments),
            where=conditions(arguments),
            sealed=read_sealed(arguments.sealed) if arguments.sealed else frozenset(),
        ),
        Progress(),
    )
    sys.stdout.write(_summary(built))
    return 0


def _summary(built: Built) -> str:
    nodes, manifest = built.nodes, built.manifest
    sizes = {file: (built.path / file).stat().st_size for file in manifest.files}
    lines = [
        f"simplified {nodes['source']} nodes to {nodes['float32']}",
        report.summary(manifest, nodes, sizes),
        f"* default: {built.reason}",
    ]
    if built.gate is not None:
        lines.append(
            f"gate passed: {INT8} changed {len(built.gate.flips)} of {built.gate.images} verdicts, "
            f"{built.gate.allowed} were agreed"
        )
    return "\n".join([*lines, f"wrote {built.path}", ""])
