"""The flags that say how many parts errors are reckoned for, alike in every subcommand."""

import argparse


def configure_volume(parser: argparse.ArgumentParser, words: str, rate_from: str) -> None:
    """Add them as a group described by `words`; `rate_from` says where the defect rate comes from."""
    line = parser.add_argument_group("line", words)
    line.add_argument(
        "--modules-per-month",
        type=int,
        default=1_800_000,
        metavar="N",
        help="one image is taken to be one module (default: %(default)s)",
    )
    line.add_argument(
        "--defect-rate",
        type=float,
        metavar="SHARE",
        help=f"share of them that are defective (default: as in the {rate_from})",
    )
