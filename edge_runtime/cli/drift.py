"""`edge-inspect drift`: has a station moved away from training, what moved first, and what to do?"""

import argparse
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from edge_runtime.cli.arguments import add_state_flags, state_dir
from edge_runtime.drift_history.store import read_history
from edge_runtime.drift_report import advice
from edge_runtime.drift_report.contents import Contents, sentence, tell
from edge_runtime.drift_report.kept import drifted_samples
from edge_runtime.errors import UsageError
from edge_runtime.written_aside import written_aside

NAME = "drift"
HELP = "show how far a station is from training, or write a report about it"

_EPILOG = """\
examples:
  edge-inspect drift show --station L07-S3
  edge-inspect drift report --station L07-S3 --out drift.html
  edge-inspect drift report --state-dir /var/lib/edge-inspect/L07-S3 --since 7d --out drift.html

The station may be running; what it keeps is a minute old at most. A copy of its folder does as well.
`report` needs the extra: pip install 'edge-inspect[report]'
"""
_REACHES = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the two ways to ask, and their flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    ways = parser.add_subparsers(metavar="WAY", required=True)
    show = ways.add_parser(
        "show", help="print the present state", description="print the present state"
    )
    show.set_defaults(way=_show)
    words = "write one HTML page, which needs no network and no second file"
    report = ways.add_parser("report", help=words, description=words)
    report.add_argument("--out", type=Path, required=True, metavar="FILE", help="page to write")
    report.set_defaults(way=_report)
    for way in (show, report):
        way.add_argument(
            "--since",
            metavar="WHEN",
            help="leave out what was before: 90m, 12h, 7d, or a date such as 2026-03-02 (UTC)",
        )
        add_state_flags(way)


def run(arguments: argparse.Namespace) -> int:
    """Answer; returns 0."""
    folder = state_dir(arguments)
    since = None if arguments.since is None else _moment(arguments.since, datetime.now(UTC))
    answer: int = arguments.way(
        arguments, tell(read_history(folder, since), drifted_samples(folder))
    )
    return answer


def _show(_arguments: argparse.Namespace, contents: Contents) -> int:
    print("\n".join(_lines(contents)))
    return 0


def _report(arguments: argparse.Namespace, contents: Contents) -> int:
    try:
        from edge_runtime.drift_report.page import render
    except ModuleNotFoundError as exc:
        raise UsageError(
            f"the page needs {exc.name}, which is not installed: pip install 'edge-inspect[report]'"
        ) from exc
    out: Path = arguments.out
    with written_aside(out) as aside:
        aside.write_text(render(contents), encoding="utf-8")
    print(f"{out}: {sentence(contents.report)}")
    return 0


def _lines(contents: Contents) -> Iterator[str]:
    report = contents.report
    yield (
        f"{report.line}-{report.station} with {report.bundle}, {report.at:%Y-%m-%d %H:%M} UTC: "
        f"{report.level.value.replace('_', ' ')}"
    )
    yield sentence(report)
    for moved in contents.first_moved:
        yield f"  {moved.since:%Y-%m-%d %H:%M}  {moved.level.value:7}  {moved.words}"
    if report.effects:
        yield "effects now (standard deviations; of shares and scores Cohen's h):"
        for name, effect in report.effects.items():
            yield f"  {effect:+6.2f}  {name}"
    for number, step in enumerate(advice.what_to_do(report.level, contents.first_moved), start=1):
        yield f"{number}. {step}"


def _moment(text: str, now: datetime) -> datetime:
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text):
        return now - int(found[1]) * _REACHES[found[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"--since {text} is no time: give 90m, 12h, 7d, or a date such as 2026-03-02"
        ) from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
