"""`edge-inspect tail`: what the MES receives, live, with every gap and repetition accounted for."""

import argparse
import os
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edge_runtime.cli.arguments import add_broker_flags, broker_config
from edge_runtime.cli.run import stop_on_signals
from edge_runtime.cli.screen import Screen
from edge_runtime.cli.verdict_table import VerdictTable, station_line
from edge_runtime.consumer.consumer import Consumer
from edge_runtime.consumer.ranges import Ranges
from edge_runtime.consumer.recovery import Patience
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import LARGEST_SEQ, VerdictMessage
from edge_runtime.errors import UsageError
from edge_runtime.mes.credentials import read_credentials

NAME = "tail"
HELP = "show the verdicts of a station, a line or a site as the MES receives them"

_EPILOG = """\
examples:
  edge-inspect tail --broker mqtt://mes.local --site plant-1 --station L07-S3
  edge-inspect tail --line L07 --json | jq -r '[.seq, .part_id, .verdict] | @csv'
  edge-inspect tail --station L07-S3 --from-seq 1000 --to-seq 1499 --json > verdicts.jsonl
  edge-inspect tail --all --client-id mes-1 --state /var/lib/mes/edge-inspect.json

Each verdict is shown once. Gaps are asked for on .../replay/set, which the station grants where its
mqtt_replay is true. With --client-id the broker keeps what comes while tail is away, for a day at most.
Ctrl-C ends with a summary and exit code 0.
"""
_REDRAW_S: Final = 0.2
"""How often the foot is drawn anew at most."""
_GRACE_S: Final = 0.5
"""How long verdicts that were asked for by number may come by themselves before the station is asked."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_broker_flags(parser)
    whom = parser.add_mutually_exclusive_group()
    whom.add_argument("--station", metavar="STATION", help="one station, L07-S3")
    whom.add_argument("--line", metavar="LINE", help="all stations of a line, L07")
    whom.add_argument("--all", action="store_true", help="all stations of the site (the default)")
    parser.add_argument(
        "--from-seq", type=_positive, metavar="N", help="ask for what was sent before, from N on"
    )
    parser.add_argument(
        "--to-seq", type=_positive, metavar="N", help="show them up to N alone, and end with these"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON document per line and verdict"
    )
    parser.add_argument("--count", type=_positive, metavar="N", help="end after so many verdicts")
    parser.add_argument(
        "--state", type=Path, metavar="FILE", help="keep here how far it got, and go on from there"
    )
    parser.add_argument("--client-id", metavar="ID", help="name at the broker, used by nobody else")


def run(arguments: argparse.Namespace) -> int:
    """Show verdicts until Ctrl-C, SIGTERM or --count; returns 0."""
    config = broker_config(arguments)
    _require_well_formed(arguments)
    # Nothing but verdicts may stand between the lines of JSON.
    view = _View(
        Screen(sys.stderr if arguments.json else sys.stdout),
        as_json=arguments.json,
        up_to=arguments.to_seq or LARGEST_SEQ,
    )
    with (
        stop_on_signals() as stop,
        Consumer(
            config.broker,
            site=config.site,
            station=arguments.station,
            line=arguments.line,
            credentials=read_credentials(
                os.environ,
                ca=config.mqtt_ca,
                certificate=config.mqtt_certificate,
                key=config.mqtt_key,
            ),
            from_seq=arguments.from_seq,
            to_seq=arguments.to_seq or LARGEST_SEQ,
            client_id=arguments.client_id,
            state_file=arguments.state,
            # Whoever names a first verdict waits for it.
            patience=Patience(grace_s=_GRACE_S) if arguments.from_seq is not None else None,
            on_remark=view.remark,
        ) as consumer,
    ):
        view.begin()
        shown = 0
        wanted = _Wanted(
            station=arguments.station,
            first=arguments.from_seq,
            last=arguments.to_seq,
            count=arguments.count,
        )
        while not stop.is_set() and not wanted.complete(consumer, shown):
            verdict = consumer.receive(_REDRAW_S)
            if verdict is not None and wanted.includes(verdict.seq):
                view.show(verdict)
                shown += 1
            view.draw_foot(consumer)
        view.end(consumer, shown)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """Which verdicts are shown, and when these were all."""

    station: str | None
    first: int | None
    last: int | None
    count: int | None

    def includes(self, seq: int) -> bool:
        return self.last is None or seq <= self.last

    def complete(self, consumer: Consumer, shown: int) -> bool:
        if self.count is not None and shown >= self.count:
            return True
        feed = consumer.stations.get(self.station or "")
        if self.last is None or self.first is None or feed is None:
            return False
        sequence = feed.sequence
        return sequence.last >= self.last and not any(
            sequence.missing.within(self.first, self.last)
        )


class _View:
    """Where things are shown: a table, or lines of JSON beside remarks on stderr."""

    def __init__(self, screen: Screen, *, as_json: bool, up_to: int) -> None:
        self._screen = screen
        self._as_json = as_json
        self._up_to = up_to
        self._draw_at = 0.0

    def begin(self) -> None:
        if not self._as_json:
            self._screen.write(self._table().header())

    def show(self, verdict: VerdictMessage) -> None:
        if self._as_json:
            print(verdict.to_json(), flush=True)
        else:
            self._screen.write(self._table().row(verdict, datetime.now(UTC)))

    def remark(self, text: str) -> None:
        self._screen.write(f"-- {text}")

    def draw_foot(self, consumer: Consumer) -> None:
        if time.monotonic() < self._draw_at:
            return
        self._draw_at = time.monotonic() + _REDRAW_S
        width = self._screen.width
        foot = [
            station_line(name, feed, width, up_to=self._up_to)
            for name, feed in sorted(consumer.stations.items())
        ]
        if consumer.problem is not None:
            foot.append(consumer.problem[:width])
        self._screen.set_foot(foot)

    def end(self, consumer: Consumer, shown: int) -> None:
        self._screen.set_foot(())
        for name, feed in sorted(consumer.stations.items()):
            self._screen.write(station_line(name, feed, 10_000, up_to=self._up_to))
        sequences = [feed.sequence for feed in consumer.stations.values()]
        malformed = consumer.malformed + sum(feed.malformed for feed in consumer.stations.values())
        self._screen.write(
            f"verdicts={shown} repeated={sum(s.duplicates for s in sequences)} "
            f"missing={sum(Ranges(s.missing.within(1, self._up_to)).count for s in sequences)} "
            f"lost={sum(s.lost for s in sequences)} "
            f"contradictory={sum(s.conflicts for s in sequences)} malformed={malformed}"
        )

    def _table(self) -> VerdictTable:
        return VerdictTable(self._screen.width, colour=self._screen.interactive)


def _require_well_formed(arguments: argparse.Namespace) -> None:
    if arguments.to_seq is not None and (arguments.station is None or arguments.from_seq is None):
        raise UsageError("--to-seq ends a range: give --station and --from-seq as well")
    if arguments.to_seq is not None and arguments.to_seq < arguments.from_seq:
        raise UsageError(f"--to-seq {arguments.to_seq} lies before --from-seq {arguments.from_seq}")
    try:
        StationId.parse(arguments.station or f"{arguments.line or 'L00'}-S0")
    except ValueError as exc:
        raise UsageError(str(exc)) from exc


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text!r}")
    return int(text)
