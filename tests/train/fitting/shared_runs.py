"""What each of two processes does in the tests of shared runs: `torchrun -m ... OUT FLAGS`.

Several runs in one go, since a process takes seconds to start, and can join the others only once.
"""

import sys
from contextlib import nullcontext
from pathlib import Path
from unittest import mock

from train.cli.main import main
from train.data.stream import BatchStream
from train.errors import DatasetError
from train.fitting import run
from train.fitting.ranks import Ranks, shared_run


def fit(out: Path, *flags: str) -> None:
    """A `train fit`; any code but 0 ends this process, and with it the other."""
    code = main(["fit", "--output", str(out), *flags])
    if code:
        sys.exit(code)


def fit_all(folder: Path, flags: list[str], ranks: Ranks) -> None:
    """In turn: like one process's, begun by one process, with batch norm, wrong, and broken."""
    fit(folder / "shared", *flags, "--model", "test_convnext")
    fit(folder / "begun", "--resume")
    fit(folder / "normed", *flags, "--model", "test_efficientnet", "--bn-images", "10")
    with mock.patch.object(Ranks, "share", slice(0, None, 2)):  # both take what is the leader's
        fit(folder / "wrong", *flags, "--model", "test_convnext")
    vanished = mock.patch.object(BatchStream, "_fill", side_effect=DatasetError("it vanished"))
    with nullcontext() if ranks.leads else vanished:
        fit(folder / "broken", *flags, "--model", "test_convnext")


if __name__ == "__main__":
    with (
        shared_run() as ranks,
        mock.patch.object(run, "shared_run", return_value=nullcontext(ranks)),
    ):
        fit_all(Path(sys.argv[1]), sys.argv[2:], ranks)
