"""`optimize bench`: the latency of a bundle's variants, here and now."""

import argparse
from contextlib import ExitStack, closing

import numpy as np

from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.manifest import LatencyRecord
from edge_runtime.decoding import decode
from edge_runtime.engines.catalogue import ENGINES, open_engine, target
from edge_runtime.errors import BundleError
from optimize import latency, report
from optimize.cli.arguments import positive
from optimize.cli.progress import Progress

NAME = "bench"
HELP = "measure a bundle's latency on this machine, variants taking turns"

_EPILOG = """\
examples:
  optimize bench demo
  optimize bench bundles/weld-seam/1.0.0 --threads 1 2 --batches 1 8 --samples 1000
  optimize bench demo --engine openvino
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("bundle", metavar="BUNDLE", help="folder NAME/VERSION, or `demo`")
    parser.add_argument(
        "--engine",
        choices=[name for name in ENGINES if name != "null"],
        default="onnxruntime",
        help="inference engine (default onnxruntime)",
    )
    parser.add_argument(
        "--threads", type=positive, nargs="+", default=[1], metavar="N", help="default 1"
    )
    parser.add_argument(
        "--batches",
        type=positive,
        nargs="+",
        default=list(latency.BATCHES),
        metavar="N",
        help=f"batch sizes (default {' '.join(map(str, latency.BATCHES))})",
    )
    parser.add_argument(
        "--samples",
        type=positive,
        default=latency.SAMPLES,
        metavar="N",
        help=f"batches of one to time; larger batches take fewer (default {latency.SAMPLES})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Measure and print every record, then each variant's ratio to the first."""
    bundle = open_bundle(arguments.bundle)
    model = bundle.manifest.model
    golden = [decode((bundle.path / frame.file).read_bytes()) for frame in bundle.manifest.golden]
    if not golden:
        raise BundleError(f"{bundle.path} has no golden frames to measure with")
    kind = target(arguments.engine)
    variants = [variant for variant in bundle.manifest.variants if variant.target == kind]
    if not variants:
        raise BundleError(f"{bundle.path} has no variant that is made for {arguments.engine}")
    progress = Progress()
    images = latency.images_per_variant(arguments.batches, arguments.samples)
    rows: list[tuple[str, LatencyRecord]] = []
    with progress.stage("measuring latency", images * len(arguments.threads)) as advanced:
        for threads in arguments.threads:
            with ExitStack() as stack:
                engines = {
                    variant.precision: stack.enter_context(
                        closing(
                            open_engine(
                                arguments.engine,
                                bundle.model_file(variant),
                                model,
                                threads,
                                bundle.plans(variant),
                            )
                        )
                    )
                    for variant in variants
                }
                records = latency.measure(
                    engines,
                    np.stack(golden),
                    threads=threads,
                    batches=arguments.batches,
                    samples=arguments.samples,
                    advanced=advanced,
                )
            rows += [(key, record) for key, kept in records.items() for record in kept]
    print(report.latency_table(rows))
    for line in report.ratios(rows):
        print(line)
    return 0
