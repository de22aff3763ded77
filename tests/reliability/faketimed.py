"""The daemon as it ships, where libfaketime stands before the clocks.

    python -m tests.reliability.faketimed -- <daemon arguments>

libfaketime 0.9.10 refuses every `clock_nanosleep` until an absolute moment, which is how CPython sleeps
(EINVAL, at whatever offset). Waiting for an event that never comes is not disturbed.
"""

import sys
import threading
import time

from edge_runtime.cli.main import main

FAKETIMED = ("tests.reliability.faketimed", "--", "run")


def _sleep(seconds: float) -> None:
    threading.Event().wait(seconds)


if __name__ == "__main__":
    time.sleep = _sleep
    sys.exit(main(sys.argv[2:]))
