"""`python -m optimize.cli` is `optimize`."""

import sys

from edge_runtime.cli.extra import start


def main() -> int:
    """Run the command line; returns the exit code."""
    return start("optimize")


if __name__ == "__main__":
    sys.exit(main())
