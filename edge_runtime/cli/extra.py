"""Starting a program whose libraries come with an extra of the package."""

import importlib
import sys

_OURS = ("edge_runtime", "optimize", "train")


def start(program: str) -> int:
    """Run the command line of the floor of that name; one line where its extra is not installed.

    The base install has the scripts of all floors and the libraries of the lowest.
    """
    try:
        main = importlib.import_module(f"{program}.cli.main").main
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] in _OURS:
            raise
        print(
            f"{program}: {exc.name} is not installed: pip install 'edge-inspect[{program}]'",
            file=sys.stderr,
        )
        return 1
    return int(main())
