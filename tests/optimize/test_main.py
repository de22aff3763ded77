"""The command line as a whole."""

import subprocess
import sys


def test_a_reader_who_has_seen_enough_causes_no_complaint() -> None:
    words = [sys.executable, "-m", "optimize.cli", "inspect", "demo", "--layers"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        complaint = program.stderr.read()
    assert complaint == b""
    assert program.returncode == 141
