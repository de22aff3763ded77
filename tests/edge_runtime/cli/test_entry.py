"""The program's entry: what it settles before its libraries are loaded."""

import os
import subprocess
import sys

import pytest

from edge_runtime.cli.__main__ import ONE_THREAD

_LOADED = """
import os, sys
from contextlib import suppress
from edge_runtime.cli.__main__ import main
sys.argv = ["edge-inspect", "--version"]
with suppress(SystemExit):
    main()
import cv2
print(len(os.listdir("/proc/self/task")), cv2.getNumThreads())
"""


@pytest.mark.parametrize(("said", "threads"), [(None, 1), ("3", 3)])
def test_libraries_keep_no_threads_beside_the_engines_unless_told_to(
    said: str | None, threads: int
) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    if said is not None:
        environment |= dict.fromkeys(ONE_THREAD, said)

    told = subprocess.run(
        [sys.executable, "-c", _LOADED],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    of_numpy, of_opencv = told.splitlines()[-1].split()
    assert of_numpy == str(threads), told
    assert of_opencv == str(threads)
