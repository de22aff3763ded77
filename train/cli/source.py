"""The flags that name a labelled data set, alike in every subcommand that reads one."""

import argparse
from pathlib import Path

from train.data.manifest import Columns, Condition, Source


def configure_source(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """Add the flags; `source` reads them."""
    defaults = Columns()
    group = parser.add_argument_group(
        "data", "a folder with manifest.csv or another CSV file, or with one subfolder per class"
    )
    group.add_argument(
        "--data-dir", type=Path, required=required, metavar="DIR", help="folder of the images"
    )
    group.add_argument(
        "--manifest",
        metavar="FILE",
        help="CSV file within DIR (default: manifest.csv where there is one, else class folders)",
    )
    for flag, default, what in (
        ("path", defaults.path, "the image's path, relative to the CSV file"),
        ("label", defaults.label, "its class"),
        ("group", defaults.group, "what a split must keep together, such as the serial number"),
    ):
        group.add_argument(
            f"--{flag}-column",
            default=default,
            metavar="NAME",
            help=f"column with {what} (default: %(default)s)",
        )
    group.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="take these rows only; also COLUMN!=VALUE; may be repeated, all must hold",
    )


def source(arguments: argparse.Namespace) -> Source:
    """The data set that the flags name; raises UsageError for a malformed condition."""
    return Source(
        data_dir=arguments.data_dir,
        manifest=arguments.manifest,
        columns=Columns(
            path=arguments.path_column, label=arguments.label_column, group=arguments.group_column
        ),
        where=tuple(map(Condition.parse, arguments.where)),
    )
