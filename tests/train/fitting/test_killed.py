"""The whole program killed with SIGKILL, as by a machine that is lost, and started again."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import eventually
from tests.train.conftest import FIT_FLAGS
from tests.train.fitting.weights import assert_same
from train.run_folder import RunFolder


def fit(*words: object) -> subprocess.Popen[bytes]:
    """`train fit` in a process of its own, with a checkpoint after each update."""
    command = [sys.executable, "-m", "train.cli", "fit", "--checkpoint-every", "0"]
    # The run that it is compared with has one thread: sums depend on how many share them.
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([*command, *map(str, words)], stderr=subprocess.PIPE, env=one_thread)


def stamp(file: Path) -> int:
    """Changes whenever the file is replaced; 0 where there is none."""
    return file.stat().st_ino if file.exists() else 0


def kill_after_checkpoints(process: subprocess.Popen[bytes], last: Path, count: int) -> None:
    """Let it write some more checkpoints, then kill it wherever it is."""
    with process:
        for _ in range(count):
            before = stamp(last)
            seen = eventually(lambda was=before: stamp(last) != was, timeout_s=120)
            assert seen, process.communicate()
        assert process.poll() is None, "it has finished: nothing was interrupted"
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_weights(
    folder_of_images: Path, finished_run: RunFolder, tmp_path: Path
) -> None:
    output = RunFolder(path=tmp_path / "run")
    started = fit("--data-dir", folder_of_images, "--output", output.path, *FIT_FLAGS)
    kill_after_checkpoints(started, output.last, 3)
    kill_after_checkpoints(fit("--output", output.path, "--resume"), output.last, 2)
    with fit("--output", output.path, "--resume") as last:
        _, said = last.communicate(timeout=240)
    assert last.returncode == 0, said
    assert_same(output, finished_run)
    names = [sorted(file.name for file in run.path.iterdir()) for run in (output, finished_run)]
    assert names[0] == names[1], "nothing half-written is left behind"
