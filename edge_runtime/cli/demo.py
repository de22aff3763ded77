"""`edge-inspect demo`: the whole line on one machine, seen from the MES.

Starts a private mosquitto (or falls back on the in-memory broker), runs a station on the simulated
camera with the shipped bundle, and shows what a subscriber receives. Leaves nothing behind.
"""

import argparse
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from edge_runtime.assembly.station import open_station
from edge_runtime.cli.run import stop_on_signals
from edge_runtime.cli.verdict_table import VerdictTable
from edge_runtime.config import load_config
from edge_runtime.consumer.feed import Feed
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.station_id import StationId
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker, find_mosquitto
from edge_runtime.mes.topics import Topics

NAME = "demo"
HELP = "run the simulated line with the shipped bundle and show what the MES receives"

_EPILOG = """\
examples:
  edge-inspect demo
  edge-inspect demo --frames 1000 --source 'simulated:gen3?seed=3&rate=50&defects=0.5'

Exit code 0 only if every part was answered exactly once.
"""
_STATION = "L07-S3"
_SITE = "demo"
_STRAGGLERS_S = 2.0
"""After the station has stopped: how long to listen for messages still on their way."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--frames", type=int, default=300, help="parts to inspect (default 300)")
    parser.add_argument(
        "--source",
        default="simulated:gen3?seed=7&rate=20&defects=0.25",
        help="frame source (default: Gen-3 line, 20 parts/s, a quarter of them defective)",
    )
    parser.add_argument("--bundle", default="demo", help="bundle to run (default: the shipped one)")


class MesView:
    """What the MES sees: every verdict in a row, counted and checked for its number."""

    def __init__(self, topics: Topics) -> None:
        self.feed = Feed(topics, requester=NAME, remark=self._remark)
        self._table = VerdictTable(
            shutil.get_terminal_size((120, 24)).columns,
            colour=sys.stdout.isatty(),
            of_one_station=True,
        )

    def begin(self) -> None:
        """Print the titles."""
        print(self._table.header(), flush=True)

    def take(self, message: Message) -> None:
        """Count one message, and print it if it is a verdict that has not come before."""
        verdict = self.feed.take(message.topic, message.payload, time.monotonic())
        if verdict is not None:
            print(self._table.row(verdict, datetime.now(UTC)), flush=True)

    def _remark(self, text: str) -> None:
        print(f"-- {text}", flush=True)


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; returns 0 exactly if no part was lost or answered twice."""
    topics = Topics(site=_SITE, station=StationId.parse(_STATION))
    view = MesView(topics)
    with (
        stop_on_signals() as stop,
        tempfile.TemporaryDirectory(
            prefix="edge-inspect-demo-", ignore_cleanup_errors=True
        ) as state,
        _broker() as address,
    ):
        config = load_config(
            {
                "station": _STATION,
                "site": _SITE,
                "bundle": arguments.bundle,
                "source": arguments.source,
                "broker": address,
                "state_dir": state,
                "frames": arguments.frames,
            },
            {},
            None,
        )
        with (
            closing(open_subscriber(address, f"inspection/{_SITE}/#")) as mes,
            open_station(config) as station,
        ):
            view.begin()
            finished = threading.Event()
            listener = threading.Thread(target=_listen, args=(mes, view, finished))
            listener.start()
            try:
                health = station.run(stop)
            finally:
                finished.set()
                listener.join()
    return _report(health, view)


def _listen(mes: Subscriber, view: MesView, finished: threading.Event) -> None:
    while True:
        over = finished.is_set()
        message = mes.receive(_STRAGGLERS_S if over else 0.2)
        if message is not None:
            view.take(message)
            if view.feed.availability == "stopped":
                return
        elif over:
            return


def _report(health: Health, view: MesView) -> int:
    received = view.feed.sequence.received
    duplicated = view.feed.sequence.duplicates
    lost = health.parts - received
    counts = ", ".join(f"{count} {outcome}" for outcome, count in health.verdicts.items())
    latency = (
        f"p50={health.latency.p50_ms:.1f}ms p99={health.latency.p99_ms:.1f}ms"
        if health.latency
        else "p50=- p99=-"
    )
    print(f"\n{health.bundle} on {health.engine}: {counts}")
    print(
        f"parts={health.parts} verdicts={received} lost={lost} "
        f"duplicated={duplicated} frame-to-PUBACK {latency}"
    )
    return 0 if lost == 0 and duplicated == 0 and health.parts > 0 else 1


@contextmanager
def _broker() -> Iterator[str]:
    if find_mosquitto() is None:
        print("mosquitto is not installed: showing the demo on the built-in in-memory broker")
        yield "memory://demo"
        return
    with PrivateBroker() as broker:
        print(f"private mosquitto on {broker.address}")
        yield broker.address
