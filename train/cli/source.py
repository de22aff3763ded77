"""The flags that name a labelled data set, alike in every subcommand that reads one."""

import argparse
from pathlib import Path

from optimize.cli.arguments import columns, conditions, configure_columns
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
