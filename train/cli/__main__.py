"""`python -m train.cli` is `train`."""

import sys

from edge_runtime.cli.extra import start


def main() -> int:
    """Run the command line; returns the exit code."""
    return start("train")


if __name__ == "__main__":
    sys.exit(main())
