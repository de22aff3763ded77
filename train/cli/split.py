"""`train split`: train, validation and a sealed test set, frozen by content."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge_runtime.errors import UsageError
from optimize.cli.arguments import positive
from train.cli.source import configure_source, source

if TYPE_CHECKING:
    from train.data.frozen_split import SplitRecord

NAME = "split"
HELP = "freeze a data set into train, validation and a sealed test set"

_EPILOG = """\
examples:
  # 60 % teach, 20 % validate, 20 % are sealed; no module on two sides, every class on all three
  train split --data-dir runs/gen3 --out runs/gen3-split
  train fit --split runs/gen3-split --output runs/first

  # the test set is what came last
  train split --data-dir crops --time-ordered --out splits/by-time

  # as a column of the manifest says: train, validation or test
  train split --data-dir crops --side-column side --out splits/agreed

  # the end of it: the one command that opens the test set, and enters that in the ledger
  train evaluate runs/first.onnx --split runs/gen3-split --final

SPLIT_FOLDER gets split.csv (what teaches and validates), sealed.csv (the test set), split.json
(settings, counts, hashes), quarantine.csv (what cannot be decoded) and ledger.jsonl (who opened the test
set). Every image is opened once for its hash; one that is changed later is refused. Groups that share an
image of the very same content count as one. With --time-ordered a group belongs to the time of its last
image, and groups of the same time stay together: nothing captured at the cut or later is taught.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    configure_source(parser, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="SPLIT_FOLDER", help="new folder for the split"
    )
    for flag, what in (("test", "sealed"), ("val", "held back for validation")):
        parser.add_argument(
            f"--{flag}-split",
            type=float,
            metavar="SHARE",
            help=f"share of all images {what} (default: 0.2)",
        )
    parser.add_argument(
        "--time-ordered", action="store_true", help="seal the latest groups by captured_at"
    )
    parser.add_argument(
        "--side-column",
        metavar="NAME",
        help="column that says train, validation or test: the split is checked, not made",
    )
    parser.add_argument("--seed", type=int, metavar="N", help="of the draw (default: 0)")
    parser.add_argument(
        "-j",
        "--workers",
        type=positive,
        default=os.cpu_count() or 1,
        metavar="N",
        help="threads that open images (default: one per core, here %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    drawn = {
        "test_share": arguments.test_split,
        "val_share": arguments.val_split,
        "seed": arguments.seed,
    }
    drawn = {name: value for name, value in drawn.items() if value is not None}
    column = arguments.side_column
    if column and (drawn or arguments.time_ordered):
        raise UsageError(
            "--side-column takes the split as the manifest has it: leave out --test-split, "
            "--val-split, --time-ordered and --seed"
        )
    from tqdm import tqdm

    from train.data.freeze import freeze
    from train.data.split import Agreed, Plan

    with tqdm(unit="image", file=sys.stderr, disable=None, leave=False) as bar:
        frozen = freeze(
            source(arguments),
            arguments.out,
            Agreed(column=column) if column else Plan(time_ordered=arguments.time_ordered, **drawn),
            command=arguments.command_line,
            workers=arguments.workers,
            started=bar.reset,
            advanced=bar.update,
        )
    print("\n".join(_told(frozen.record)))
    print(
        f"{frozen.folder}: split sha256 {frozen.record.sha256[:12]}, the test set is sealed; next: "
        f"train fit --split {frozen.folder} --output RUN_FOLDER"
    )
    return 0


def _told(record: "SplitRecord") -> list[str]:
    """The counts as a table, and what happened to images and groups on the way."""
    width = max(map(len, ("all", *record.images)))
    lines = [f"{'class':<{width}} {'train':>9} {'validation':>10} {'test':>9}"]
    for label, count in record.images.items():
        lines.append(f"{label:<{width}} {count.train:>9} {count.validation:>10} {count.test:>9}")
    train, validation, test = (
        sum(getattr(count, side) for count in record.images.values())
        for side in ("train", "validation", "test")
    )
    lines.append(f"{'all':<{width}} {train:>9} {validation:>10} {test:>9}")
    if record.cut is not None:
        lines.append(
            f"the test set begins at {record.cut.isoformat(timespec='seconds')}; "
            f"{record.straddling} of its images are earlier, of groups that reach beyond"
        )
    if record.merged:
        lines.append(
            f"{record.merged} groups became one with another: they share an image of the same content"
        )
    if record.quarantined:
        lines.append(
            f"{record.quarantined} images cannot be used and are on no side: see quarantine.csv"
        )
    return lines
