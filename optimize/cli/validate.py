"""`optimize validate`: build a bundle's TensorRT engines on this GPU and hold them to its limits."""

import argparse
from pathlib import Path

from optimize.cli.arguments import (
    columns,
    conditions,
    configure_columns,
    milliseconds,
    positive,
    share,
    whole,
)
from optimize.cli.progress import Progress
from optimize.tensorrt import acceptance
from optimize.tensorrt.description import describe
from optimize.tensorrt.validate import SAMPLES, Order, validate
from optimize.tensorrt.workbench import TensorRtWorkbench

NAME = "validate"
HELP = (
    "build TensorRT engines on this machine's GPU, compare verdicts, measure, record in the bundle"
)

_EPILOG = f"""\
examples:
  optimize validate bundles/weld-seam/1.1.0 --device 0
  optimize validate bundles/weld-seam/1.1.0 --validation data/gen3-val --max-ms-per-image 0.20

To be run on the machine that will inspect: an engine belongs to the GPU and the TensorRT version that it
was built with. The bundle gains a device record and the engines that passed, or stays as it was.

An engine passes if it changes at most --max-flips of the float32 variant's verdicts, no batch size takes
more than {acceptance.CUSTOMER_MS:g} ms/image (p99), and the largest keeps --max-ms-per-image (p50).
Exit code 5 without TensorRT or GPU, 10 when verdicts change, 12 when they do not and it is too slow.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="folder NAME/VERSION")
    parser.add_argument(
        "--device",
        type=whole,
        default=0,
        metavar="N",
        help="which GPU, as CUDA counts them (default 0)",
    )
    parser.add_argument(
        "--validation",
        type=Path,
        metavar="DIR",
        help="labelled images to compare verdicts on, beside the golden frames",
    )
    configure_columns(parser.add_argument_group("columns", "of the manifest"))
    parser.add_argument(
        "--max-flips",
        type=share,
        default=0.02,
        metavar="SHARE",
        help="share of verdicts that an engine may change (default 0.02)",
    )
    parser.add_argument(
        "--max-ms-per-image",
        type=milliseconds,
        metavar="MS",
        help=f"median at the largest batch (default {acceptance.T4_MS:.2f} on a T4, elsewhere none)",
    )
    parser.add_argument(
        "--samples",
        type=positive,
        default=SAMPLES,
        metavar="N",
        help=f"batches of every size to time (default {SAMPLES})",
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        metavar="N",
        help="CPU threads of the reference (default 1)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Validate and print the record."""
    order = Order(
        bundle=arguments.bundle,
        validation=arguments.validation,
        max_flips=arguments.max_flips,
        max_ms_per_image=arguments.max_ms_per_image,
        samples=arguments.samples,
        threads=arguments.threads,
        columns=columns(arguments),
        where=conditions(arguments),
    )
    record = validate(order, TensorRtWorkbench(arguments.device), Progress())
    print(describe(record))
    print(f"recorded in {arguments.bundle}")
    return 0
