"""`train index`: one manifest of a data set, whatever its layout."""

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from edge_runtime.errors import UsageError
from optimize.cli.arguments import columns, conditions, configure_columns

NAME = "index"
HELP = "write the manifest of class folders, a table or tar shards"

_EPILOG = """\
examples:
  # class folders; the manifest lies in the folder or above it, since its paths lead downwards
  train index crops --out crops/manifest.parquet

  # any CSV file, by the names of its columns
  train index tiles/rows.csv --path-column file --label-column class --group-column tile_group \\
              --where mixed_label_tile=0 --out tiles/data.parquet

  # what train audit found, after a person went through its table
  train index crops --audit audits/crops/audit.csv --out crops/manifest.parquet

  # what a station kept and people labelled
  train index week-31 --labels labels.csv --out week-31/labelled.csv

  # tar shards with KEY.jpg and KEY.cls or KEY.json (label, group, line, station, ...)
  train index shards --out shards/manifest.parquet
  train fit --data-dir shards --output runs/first

The columns are path (or shard and key), label, group, line, station, captured_at, generation and sha256.
Rows pass one by one: a million need no more memory than a thousand, but for 8 bytes each to find paths
that are named twice. Classes that cannot be split are said on standard error.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "source",
        type=Path,
        metavar="FOLDER",
        help="folder of classes or of *.tar, or with a manifest; or a .csv, .parquet or .tar file",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="manifest to write: .parquet or .csv",
    )
    configure_columns(parser.add_argument_group("columns", "of a CSV or Parquet file"))
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="AUDIT.csv",
        help="what train audit wrote about this data, as a person corrected it: groups are merged, "
        "corrected labels taken, quarantined and excluded images left out",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="labels of a package of edge-inspect samples export: labels.csv as its page saved it, or "
        "Label Studio's export; may be repeated. Images without a label are left out",
    )
    parser.add_argument(
        "--no-look",
        action="store_true",
        help="do not look whether the images are there; train fit will",
    )


def run(arguments: argparse.Namespace) -> int:
    # pyarrow and scipy take their time to load.
    from train.data.corrections import Corrections
    from train.data.index import is_package, write_index
    from train.data.returned_labels import ReturnedLabels

    if arguments.audit and arguments.labels:
        raise UsageError(
            "--audit and --labels: take the labels back first, then audit what came of it"
        )
    changes: Corrections | ReturnedLabels | None = None
    if arguments.audit:
        changes = Corrections(arguments.audit)
    elif arguments.labels or is_package(arguments.source):
        changes = ReturnedLabels(arguments.labels)
    with tqdm(unit="row", unit_scale=True, file=sys.stderr, disable=None, leave=False) as bar:
        indexed = write_index(
            arguments.source,
            arguments.out,
            columns=columns(arguments),
            where=conditions(arguments),
            look=not arguments.no_look,
            changes=changes,
            progress=bar.update,
        )
    returned = changes.concerns() if isinstance(changes, ReturnedLabels) else []
    for concern in [*returned, *indexed.concerns()]:
        print(f"warning: {concern}", file=sys.stderr)
    if changes is not None:
        print(changes.summary())
    print(indexed.summary())
    return 0
