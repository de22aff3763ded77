"""Entry of `edge-inspect`: without a subcommand it runs the daemon."""

import sys
from collections.abc import Sequence

from edge_runtime.cli import (
    audit,
    cameras,
    check,
    demo,
    doctor,
    drift,
    explain,
    install_service,
    record,
    retrain,
    run,
    samples,
    snapshot,
    tail,
)
from edge_runtime.cli.program import Program

_EPILOG = """\
examples:
  edge-inspect --station L07-S3 --bundle demo --source 'simulated:gen3?rate=20' \\
               --broker mqtt://localhost:1883        run a station until SIGTERM
  edge-inspect --config /etc/edge-inspect/L07-S3.toml
  edge-inspect doctor --config /etc/edge-inspect/L07-S3.toml   what is right, and what to do
  edge-inspect tail --station L07-S3                 what the MES receives
  edge-inspect demo                                  see it work, broker included

exit codes: 0 done, 2 usage, 3 bundle, 4 camera, 5 engine, 6 broker, 7 state folder,
13 address of probes and scrapes, 130 interrupted
"""

_OF_THE_PROGRAM = {"-h", "--help", "--version"}
"""Flags that are not the daemon's."""

PROGRAM = Program(
    name="edge-inspect",
    description="Inspect parts at a station of the line: frames in, verdicts at the MES.",
    epilog=_EPILOG,
    commands=(
        run,
        check,
        doctor,
        cameras,
        snapshot,
        explain,
        record,
        audit,
        drift,
        retrain,
        samples,
        tail,
        install_service,
        demo,
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or (words[0].startswith("-") and words[0] not in _OF_THE_PROGRAM):
        words.insert(0, run.NAME)
    return PROGRAM.main(words)
