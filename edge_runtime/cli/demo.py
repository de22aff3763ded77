"""`edge-inspect demo`: the whole line on one machine, seen from the MES.

Starts a private mosquitto (or falls back on the in-memory broker), runs a station on the simulated
camera with the shipped bundle, and shows what a subscriber receives. Leaves nothing behind.
"""

import argparse
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager

from edge_runtime.cli.run import stop_on_signals
from edge_runtime.config import load_config
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Outcome, VerdictMessage
from edge_runtime.mes.base import Message, Subscriber
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker, find_mosquitto
from edge_runtime.mes.topics import Topics
from edge_runtime.station import open_station

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
_COLOURS = {
    Outcome.OK: "32",
    Outcome.DEFECT: "31;1",
    Outcome.REVIEW: "33",
    Outcome.NOT_INSPECTED: "35",
}


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
    """What a subscriber at the MES sees: every verdict shown, counted, and checked for its number."""

    def __init__(self) -> None:
        self.received = 0
        self.numbers: set[int] = set()
        self.availability: list[str] = []
        self._colour = sys.stdout.isatty()

    def take(self, message: Message, topics: Topics) -> None:
        """Count one message, and print it if it is a verdict."""
        if message.topic == topics.availability:
            self.availability.append(message.payload.decode())
            return
        if message.topic != topics.verdict:
            return
        verdict = VerdictMessage.model_validate_json(message.payload)
        self.received += 1
        self.numbers.add(verdict.seq)
        print(self._row(verdict), flush=True)

    @property
    def duplicated(self) -> int:
        """Messages beyond the first of each number."""
        return self.received - len(self.numbers)

    def _row(self, verdict: VerdictMessage) -> str:
        outcome = f"{verdict.verdict:<13}"
        if self._colour:
            outcome = f"\033[{_COLOURS[verdict.verdict]}m{outcome}\033[0m"
        timings = verdict.timings_ms
        spent = timings.wait + timings.preprocess + timings.infer + verdict.delivery.waited_ms
        if verdict.label is None:
            what = verdict.reason or ""
        else:
            what = f"{verdict.label:<17} p={verdict.scores[verdict.label]:.3f}"
        return f"{verdict.seq:>6}  {verdict.part_id:<20} {outcome} {what:<32} {spent:7.1f} ms"


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; returns 0 exactly if no part was lost or answered twice."""
    topics = Topics(site=_SITE, station=StationId.parse(_STATION))
    view = MesView()
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
            print(f"{'seq':>6}  {'part':<20} {'verdict':<13} {'class':<27} {'frame to broker'}")
            finished = threading.Event()
            listener = threading.Thread(target=_listen, args=(mes, view, topics, finished))
            listener.start()
            try:
                health = station.run(stop)
            finally:
                finished.set()
                listener.join()
    return _report(health, view)


def _listen(mes: Subscriber, view: MesView, topics: Topics, finished: threading.Event) -> None:
    while True:
        over = finished.is_set()
        message = mes.receive(_STRAGGLERS_S if over else 0.2)
        if message is not None:
            view.take(message, topics)
            if view.availability[-1:] == ["stopped"]:
                return
        elif over:
            return


def _report(health: Health, view: MesView) -> int:
    lost = health.frames - len(view.numbers)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in health.verdicts.items())
    latency = (
        f"p50={health.latency.p50_ms:.1f}ms p99={health.latency.p99_ms:.1f}ms"
        if health.latency
        else "p50=- p99=-"
    )
    print(f"\n{health.bundle} on {health.engine}: {counts}")
    print(
        f"parts={health.frames} verdicts={len(view.numbers)} lost={lost} "
        f"duplicated={view.duplicated} frame-to-PUBACK {latency}"
    )
    return 0 if lost == 0 and view.duplicated == 0 and health.frames > 0 else 1


@contextmanager
def _broker() -> Iterator[str]:
    if find_mosquitto() is None:
        print("mosquitto is not installed: showing the demo on the built-in in-memory broker")
        yield "memory://demo"
        return
    with PrivateBroker() as broker:
        print(f"private mosquitto on {broker.address}")
        yield broker.address
