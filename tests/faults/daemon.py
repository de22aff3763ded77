"""The daemon with a camera or an engine that has a fault while a file exists, in this process alone.

    BROKEN=FILE python -m tests.faults.daemon camera|engine FAULT -- <daemon arguments>

The faults are those of `tests.faults.sources` and `tests.faults.engines`. FILE is called `broken`. Parts
that hang have a program of their own, `tests.faults.hanging`.
"""

import os
import sys
from pathlib import Path

from edge_runtime.assembly import station as assembly
from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.cli.main import main
from tests.faults.engines import break_engines
from tests.faults.sources import open_faulty


def program(stage: str, fault: str) -> tuple[str, ...]:
    """Module and first words of the daemon with that fault."""
    return ("tests.faults.daemon", stage, fault, "--", "run")


if __name__ == "__main__":
    stage, fault, separator, *words = sys.argv[1:]
    broken = Path(os.environ["BROKEN"])
    assert (separator, broken.name) == ("--", "broken"), sys.argv
    if stage == "engine":
        break_engines(fault, broken)
    else:
        assembly.open_camera = lambda _: CaptureCamera(
            f"{fault}:{broken.parent}", opener=open_faulty
        )
    sys.exit(main(words))
