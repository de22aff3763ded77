"""Entry of `edge-inspect`, and of `python -m edge_runtime.cli`: settles threads before numpy is loaded.

The engine has as many threads as `--threads` says, and a station as many as its pipeline has. The
libraries under numpy and OpenCV would start one more for each core, which spin for a while after
whatever they were given, on the cores that the engine needs: comparing a sample with those kept, a few
microseconds of work, cost a station 1.8 ms of CPU a part and a sixth of its throughput. What the
environment says already stays.
"""

import os
import sys

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
"""As the libraries read it once, when they are loaded; the camera's process inherits it."""


def main() -> int:
    """Run the command line; returns the exit code."""
    for name, value in ONE_THREAD.items():
        os.environ.setdefault(name, value)
    # Not above: it loads the libraries that read them.
    from edge_runtime.cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
