"""Argument types and flags that subcommands share, those of `train` included."""

import argparse
from typing import Any, Protocol

from optimize.data.manifest import Columns, Condition


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def whole(text: str) -> int:
    """A whole number from 0 on."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def milliseconds(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of milliseconds above 0")
    return value


def share(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share from 0 to 1")
    return value


class AddsArguments(Protocol):
    """A parser, or a group of one."""

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """As of argparse."""
        ...


def configure_columns(group: AddsArguments) -> None:
    """Add the flags that say how a manifest is to be read; `columns` and `conditions` read them."""
    defaults = Columns()
    for flag, default, what in (
        ("path", defaults.path, "the image's path, relative to the manifest"),
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


def columns(arguments: argparse.Namespace) -> Columns:
    """The columns that the flags name."""
    return Columns(
        path=arguments.path_column, label=arguments.label_column, group=arguments.group_column
    )


def conditions(arguments: argparse.Namespace) -> tuple[Condition, ...]:
    """What `--where` asks for; raises UsageError for a malformed condition."""
    return tuple(map(Condition.parse, arguments.where))
