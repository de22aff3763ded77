"""`optimize compare`: two bundles, variants or engines side by side."""

import argparse
from pathlib import Path

from edge_runtime.written_aside import written_aside
from optimize import comparison, latency, report
from optimize.cli.arguments import columns, conditions, configure_columns, positive, share
from optimize.cli.progress import Progress
from optimize.comparison import Comparison, Side
from optimize.data.dataset import open_dataset
from optimize.errors import GateFailed

NAME = "compare"
HELP = "show which verdicts differ between two bundles or engines, and how fast each is"

_EPILOG = """\
examples:
  optimize compare demo:float32 demo:int8 --images data/held-out
  optimize compare demo demo@openvino --images data/held-out --threads 2
  optimize compare bundles/weld-seam/1.0.0 bundles/weld-seam/1.1.0 --images data/new --max-flips 0.01

A and B are BUNDLE[:VARIANT][@ENGINE]: the default variant and onnxruntime unless named. Each side
judges by its own decision rule. With --max-flips, more differing verdicts end with exit code 10.
"""
_SHOWN = 20


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("a", metavar="A", type=str, help="BUNDLE[:VARIANT][@ENGINE]")
    parser.add_argument("b", metavar="B", type=str, help="the same")
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="images to compare on, labelled or not (default: A's golden frames, which are easy ones)",
    )
    configure_columns(parser.add_argument_group("columns", "of the images' manifest"))
    parser.add_argument(
        "--threads", type=positive, default=1, metavar="N", help="of each engine (default 1)"
    )
    parser.add_argument(
        "--batches",
        type=positive,
        nargs="+",
        default=[1, 8],
        metavar="N",
        help="batch sizes to time (default 1 8)",
    )
    parser.add_argument(
        "--samples",
        type=int,
        default=200,
        metavar="N",
        help="images to time at each batch size; 0 times nothing (default 200)",
    )
    parser.add_argument(
        "--max-flips", type=share, metavar="SHARE", help="share of verdicts that may differ"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything there as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Ask both sides, time them, print what differs."""
    sides = {"a": Side.parse(arguments.a), "b": Side.parse(arguments.b)}
    if arguments.images is None:
        images = comparison.golden(sides["a"])
    else:
        images = open_dataset(arguments.images, columns(arguments), conditions(arguments))
    progress = Progress()
    count = len(images.samples)
    with progress.stage("comparing verdicts", count * len(sides)) as advanced:
        answers = {
            key: comparison.ask(side, images, arguments.threads, advanced)
            for key, side in sides.items()
        }
    timed = {}
    if arguments.samples > 0:
        total = latency.images_per_variant(arguments.batches, arguments.samples)
        with progress.stage("measuring latency", total) as advanced:
            timed = comparison.time(
                sides,
                images,
                threads=arguments.threads,
                batches=arguments.batches,
                samples=arguments.samples,
                advanced=advanced,
            )
    found = comparison.compare(sides["a"], sides["b"], answers, images.named(), timed)
    if arguments.json is not None:
        with written_aside(arguments.json) as aside:
            aside.write_text(found.to_json(indent=2) + "\n", encoding="utf-8")
    print(_text(found))
    if arguments.max_flips is not None and len(found.flips) > arguments.max_flips * found.images:
        raise GateFailed(
            f"{len(found.flips)} of {found.images} verdicts differ, "
            f"--max-flips {arguments.max_flips:g} allows {int(arguments.max_flips * found.images)}"
        )
    return 0


def _text(found: Comparison) -> str:
    count = len(found.flips)
    share_of_all = f"{count} of {found.images} verdicts differ ({count / found.images:.2%})"
    noise = "" if found.sqnr_db is None else f"; logits {found.sqnr_db:.1f} dB signal to noise"
    lines = [
        f"A  {found.a}",
        f"B  {found.b}",
        f"{share_of_all} on {found.dataset}{noise}",
    ]
    if found.unusable:
        lines.append(f"{found.unusable} files could not be used")
    lines += [
        f"  {flip.path} ({flip.label or 'unlabelled'}): {flip.before.words()} -> {flip.after.words()}"
        for flip in found.flips[:_SHOWN]
    ]
    if count > _SHOWN:
        lines.append(f"  and {count - _SHOWN} more; --json has them all")
    if found.accuracy:
        heads = ["", "macro F1", "recall", "FPR", "review"]
        rows = [
            [key.upper(), *report.figures(record)[1:]] for key, record in found.accuracy.items()
        ]
        lines += ["", report.columns(heads, rows)]
    if found.timed:
        timed = [(key.upper(), record) for key, kept in found.timed.items() for record in kept]
        lines += ["", report.latency_table(timed), *report.ratios(timed)]
    return "\n".join(lines)
