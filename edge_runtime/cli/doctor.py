"""`edge-inspect doctor`: what is right and wrong about this station and its machine, and what to do."""

import argparse
import json
import os
import shutil
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import chain, zip_longest

from edge_runtime.cli.arguments import add_station_flags, station_flags
from edge_runtime.config import draft_config
from edge_runtime.diagnosis.finding import Finding, worst_exit_code
from edge_runtime.diagnosis.machine import examine_machine
from edge_runtime.diagnosis.parts import examine_parts

NAME = "doctor"
HELP = "check the station, its disk, clock, permissions and libraries; say what to do about each"

_EPILOG = """\
examples:
  edge-inspect doctor --config /etc/edge-inspect/L07-S3.toml
  edge-inspect doctor --station L07-S3 --source opencv:0 --json | jq -r '.findings[].remedy'

Does what `check` does, and then measures the machine. Exit code 0 when nothing fails, whatever was
warned of, else that of the first failure.
"""
_MARK, _PART, _GAP = 4, 11, 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_station_flags(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document, not a table")


def run(arguments: argparse.Namespace) -> int:
    """Print one line per part; returns 0 or the exit code of the first failure."""
    draft = draft_config(station_flags(arguments), os.environ, arguments.config)
    found = chain(examine_parts(draft), examine_machine(draft))
    if arguments.json:
        findings = list(found)
        code = worst_exit_code(findings)
        print(json.dumps({"exit_code": code, "findings": [asdict(f) for f in findings]}, indent=2))
        return code
    return worst_exit_code(list(_printed(found)))


def _printed(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Each finding as soon as it is there: a camera may take its ten seconds."""
    width = max(80, shutil.get_terminal_size((120, 24)).columns)
    left = (width - _MARK - _PART - 3 * _GAP) * 3 // 5
    widths = (_MARK, _PART, left, width - _MARK - _PART - 3 * _GAP - left)
    print(_row(("", "part", "found", "what to do"), widths))
    for finding in findings:
        cells = (str(finding.grade), finding.part, finding.found, finding.remedy or "nothing")
        print(_row(cells, widths), flush=True)
        yield finding


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """One row of as many lines as its longest cell needs."""
    columns = [
        textwrap.wrap("".join(c if c.isprintable() else "?" for c in cell), width) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    lines = zip_longest(*columns, fillvalue="")
    gap = " " * _GAP
    return "\n".join(
        gap.join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
