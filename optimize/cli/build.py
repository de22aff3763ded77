"""`optimize build`: quantise, compare with the float model, measure, write the bundle."""

import argparse
import sys
from pathlib import Path

from edge_runtime.errors import UsageError
from optimize import latency, package, report
from optimize.builder.build import build
from optimize.builder.kinds import choose_kinds
from optimize.builder.order import Built, Order
from optimize.calibration.ranges import Method
from optimize.cli.arguments import columns, conditions, configure_columns, positive, share
from optimize.cli.progress import Progress
from optimize.data.sealed import Sealed, read_sealed
from optimize.gates import Limits
from optimize.quality_limits.setting import COST

NAME = "build"
HELP = "write a bundle from a float ONNX model: quantised, compared, measured"

_EPILOG = """\
examples:
  optimize build --int8 model.onnx --calibration calibration_data \\
                 --validation data/held-out --out bundles
      writes bundles/weld-seam/1.0.0 with files for the CPU and for TensorRT
  optimize build --int8 --target cpu model.onnx --calibration calibration_data \\
                 --validation data/held-out --out bundles/weld-seam/1.1.0
  optimize build model.onnx --calibration calibration_data --out bundles --version 1.0.1
      float32 alone, judged by nothing

Where --out ends in a version (.../weld-seam/1.1.0), it is the bundle's folder. Otherwise the folder is
OUT/NAME/VERSION. A bundle that exists is never touched. Every variant, float32 included, has to keep the
limits on the validation images; beside the bundle's folder stands VERSION.gate.html, which shows each
verdict that changed. Where a variant fails, its costliest layers are left float; if nothing helps, no
bundle is written and the exit code is 10.
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
        help="labelled images to judge on; without them nothing but float32 is built",
    )
    parser.add_argument(
        "--validation-mix",
        choices=["selected", "line"],
        default="selected",
        help="whether the validation images come as the line makes them: only then are shares of "
        "classes and of review watched for drift (default selected)",
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
    parser.add_argument("--int8", action="store_true", help="add int8 variants")
    parser.add_argument("--fp16", action="store_true", help="add a half-precision variant")
    parser.add_argument(
        "--target",
        choices=["auto", "cpu", "tensorrt"],
        default="auto",
        help="what the variants are for (default auto: all that there are)",
    )
    parser.add_argument("--name", help=f"of the bundle (default {package.NAME})")
    parser.add_argument("--version", help=f"of the bundle (default {package.VERSION})")
    parser.add_argument(
        "--method",
        choices=["auto", *Method],
        default="auto",
        help="how int8 ranges are taken (default: try each, keep the best)",
    )
    gate = parser.add_argument_group("gate", "limits that every variant has to keep")
    limits = Limits()
    for name, metavar, what in (
        ("max_flips", "SHARE", "share of verdicts that may differ from float32's"),
        ("min_recall", "SHARE", "defect recall, by its one-sided bound"),
        ("max_false_positives", "SHARE", "false positives, by their one-sided bound"),
        ("confidence", "P", "of each bound"),
    ):
        gate.add_argument(
            f"--{name.replace('_', '-')}",
            type=share,
            default=getattr(limits, name),
            metavar=metavar,
            help=f"{what} (default %(default)g)",
        )
    gate.add_argument(
        "--sensitivity",
        action="store_true",
        help="rank the layers by what their quantisation costs even where the gate passes at once",
    )
    parser.add_argument(
        "--quality-cost",
        type=share,
        default=COST,
        metavar="SHARE",
        help="share of undamaged frames that the limits on blur, light, colour and cover may turn away "
        "(default %(default)g)",
    )
    parser.add_argument(
        "--engines",
        nargs="+",
        choices=["onnxruntime", "openvino"],
        default=["onnxruntime"],
        help="to measure on; verdicts are compared on the first (default onnxruntime)",
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
        help=f"images to time at each batch size (default {latency.SAMPLES})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build and print the summary."""
    built = build(
        Order(
            model=arguments.model,
            calibration=arguments.calibration,
            validation=arguments.validation,
            target=package.locate(arguments.out, arguments.name, arguments.version),
            kinds=choose_kinds(arguments.target, int8=arguments.int8, fp16=arguments.fp16),
            method=None if arguments.method == "auto" else Method(arguments.method),
            limits=_limits(arguments),
            sensitivity=arguments.sensitivity,
            engines=tuple(arguments.engines),
            threads=tuple(arguments.threads),
            latency_samples=arguments.latency_samples,
            columns=columns(arguments),
            where=conditions(arguments),
            line_mix=arguments.validation_mix == "line",
            quality_cost=_cost(arguments.quality_cost),
            sealed=read_sealed(arguments.sealed) if arguments.sealed else Sealed(),
        ),
        Progress(),
    )
    sys.stdout.write(_summary(built))
    return 0


def _limits(arguments: argparse.Namespace) -> Limits:
    if not 0.5 <= arguments.confidence < 1:
        raise UsageError(
            f"--confidence {arguments.confidence:g}: expected a probability from 0.5 to below 1"
        )
    return Limits(**{name: getattr(arguments, name) for name in Limits.model_fields})


def _summary(built: Built) -> str:
    nodes, manifest = built.nodes, built.manifest
    sizes = {file: (built.path / file).stat().st_size for file in manifest.files}
    lines = [
        f"simplified {nodes['source']} nodes to {nodes['float32']}",
        report.summary(manifest, nodes, sizes),
        f"* default: {built.reason}",
    ]
    for variant in built.report.variants if built.report else ():
        seen = variant.judgement
        lines.append(
            f"gate passed: {variant.precision} changed {len(seen.flips)} of {seen.images} verdicts, "
            f"{seen.allowed} were agreed"
        )
        lines += [f"  {bound.sentence()}" for bound in seen.bounds]
    return "\n".join([*lines, _drift(built), *_quality(built), f"wrote {built.path}", ""])


def _drift(built: Built) -> str:
    if built.drift is None:
        return "drift will not be monitored: there is no reference without validation images"
    rest = (
        "and shares of classes and of review"
        if built.drift.line_mix
        else "but no shares of classes or of review (--validation-mix selected)"
    )
    return f"drift will be monitored against {built.drift.images} images: image statistics, {rest}"


def _cost(share: float) -> float:
    if not 0 < share <= 0.1:
        raise UsageError(f"--quality-cost {share:g}: expected a share above 0, at most 0.1")
    return share


def _quality(built: Built) -> list[str]:
    made = built.quality
    if made is None:
        return [
            "the quality of frames will not be checked: there are no limits without validation images"
        ]
    aside = f"; {made.set_aside} look damaged themselves and set no limit" if made.set_aside else ""
    lines = [f"frames will be held to limits from {made.images} images{aside}"]
    for limit in made.limits:
        words = f"  {limit.check}: {limit.measure} {limit.side} {limit.value:g}"
        caught = f"catches {limit.caught:.0%} of: {limit.trial}"
        lines.append(f"{words}, {caught}" if limit.off is None else f"{words}, off, {caught}")
    return lines
