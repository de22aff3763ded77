"""`edge-inspect check`: would the station start? Reports all problems at once.

The short form of `edge-inspect doctor`, which looks at the machine as well.
"""

import argparse
import os

from edge_runtime.cli.arguments import add_station_flags, station_flags
from edge_runtime.config import draft_config
from edge_runtime.diagnosis.finding import worst_exit_code
from edge_runtime.diagnosis.parts import examine_parts

NAME = "check"
HELP = "check configuration, bundle, engine, camera, state folder and broker; all problems at once"

_EPILOG = """\
examples:
  edge-inspect check --config /etc/edge-inspect/L07-S3.toml
  edge-inspect check --station L07-S3 --source dir:/var/lib/crops --broker mqtt://mes.local

Exit code 0 when all is well, else that of the first problem. `edge-inspect doctor` looks at the
machine as well.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_station_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print one line per part; returns 0 or the exit code of the first problem."""
    draft = draft_config(station_flags(arguments), os.environ, arguments.config)
    findings = []
    for finding in examine_parts(draft):
        print(f"{finding.grade:<4} {finding.part:<7} {finding.found}", flush=True)
        findings.append(finding)
    return worst_exit_code(findings)
