"""The flags that name a labelled data set or a frozen split of one, alike in every subcommand."""

import argparse
from pathlib import Path

from edge_runtime.errors import UsageError
from optimize.cli.arguments import columns, conditions, configure_columns
from optimize.data.manifest import Columns
from train.data.frozen_split import FrozenSplit, read_split
from train.data.manifest import Source


def configure_source(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the flags; `source` reads them."""
    group = parser.add_argument_group(
        "data", "a folder with a manifest (CSV or Parquet), tar shards, or one subfolder per class"
    )
    group.add_argument(
        "--data-dir", type=Path, required=required, metavar="DIR", help="folder of the images"
    )
    group.add_argument(
        "--manifest",
        metavar="FILE",
        help="CSV or .parquet file within DIR (default: manifest.csv or manifest.parquet where there is "
        "one, else *.tar, else class folders)",
    )
    configure_columns(group)


def source(arguments: argparse.Namespace) -> Source:
    """The data set that the flags name; raises UsageError for a malformed condition."""
    return Source(
        data_dir=arguments.data_dir,
        manifest=arguments.manifest,
        columns=columns(arguments),
        where=conditions(arguments),
    )


def configure_split(parser: argparse.ArgumentParser) -> None:
    """Add `--split` beside the flags of a source; `frozen_split` reads it."""
    parser.add_argument(
        "--split",
        type=Path,
        metavar="SPLIT_FOLDER",
        help="what train split froze, in place of a manifest; --data-dir then says where its images lie "
        "now, if they were moved",
    )


def frozen_split(arguments: argparse.Namespace) -> FrozenSplit | None:
    """The split that `--split` names, if any; raises SealError, or UsageError beside other lists."""
    if arguments.split is None:
        return None
    if arguments.manifest or arguments.where or columns(arguments) != Columns():
        raise UsageError(
            "--split has lists of its own: leave out --manifest, --where and the column flags"
        )
    return read_split(arguments.split, root=arguments.data_dir)
