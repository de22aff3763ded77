"""`edge-inspect run`, or no subcommand at all: the daemon."""

import argparse
import faulthandler
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from edge_runtime.assembly.station import open_station
from edge_runtime.cli.arguments import add_station_flags, station_config
from edge_runtime.config import RELOADABLE, StationConfig
from edge_runtime.contracts.health import Health
from edge_runtime.errors import EngineHangsError, UsageError
from edge_runtime.service.notify import open_notifier
from edge_runtime.service.supervisor import Supervisor

_LOG = logging.getLogger(__name__)

NAME = "run"
HELP = "run a station until SIGTERM (the default command)"

_EPILOG = """\
examples:
  edge-inspect --station L07-S3 --bundle demo --source 'simulated:gen3?seed=7&rate=20' \\
               --broker mqtt://localhost:1883
  edge-inspect --config /etc/edge-inspect/L07-S3.toml --frames 1000

Every key is also a variable: EDGE_INSPECT_MAX_BATCH=16. Flags win over variables, variables over the
file. The broker's password comes from EDGE_INSPECT_MQTT_PASSWORD or the systemd credential
mqtt-password, a certificate's key from mqtt-key. SIGTERM, SIGINT and --frames drain: every frame
taken in is answered, then exit 0; exit 5 where the engine never came back. SIGHUP reads log_level
anew. With --http-port 9464, /healthz, /readyz and /metrics are answered on this machine.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add_station_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Run the station; returns 0 after a clean drain."""
    config = station_config(arguments)
    logging.basicConfig(
        level=config.log_level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(message)s",
    )
    notifier = open_notifier(os.environ)
    if notifier.watchdog_s is not None:
        # It ends what hangs by SIGABRT; the log then says where each thread stood.
        faulthandler.enable()
    supervisor = Supervisor(
        notifier,
        reload=lambda: _reload(arguments, config),
        http=None if config.http_port is None else (config.http_host, config.http_port),
    )
    try:
        with (
            supervisor,
            stop_on_signals() as stop,
            _on_hang_up(supervisor.request_reload),
            open_station(config, os.environ, supervisor.building) as station,
        ):
            supervisor.watch(station)
            health = station.run(stop)
    except EngineHangsError as exc:
        # All is answered and closed but the engine. The interpreter's end would unload it while a thread
        # is still inside, or wait for that thread.
        print(f"edge-inspect: {exc}", file=sys.stderr, flush=True)
        os._exit(exc.exit_code)
    print(summary(health), file=sys.stderr)
    return 0


def _reload(arguments: argparse.Namespace, running: StationConfig) -> str:
    """Take over what may change while parts are inspected; returns one line about the rest."""
    try:
        wanted = station_config(arguments)
    except UsageError as exc:
        _LOG.error("not reloaded: %s", exc)
        return f"not reloaded: {exc}"
    logging.getLogger().setLevel(wanted.log_level.upper())
    waiting = [key for key in running.changed_keys(wanted) if key not in RELOADABLE]
    words = f"reloaded: log_level is {wanted.log_level}"
    if waiting:
        words += f"; changed, but not before the next start: {', '.join(waiting)}"
    _LOG.warning(words)
    return words


@contextmanager
def _on_hang_up(act: Callable[[], None]) -> Iterator[None]:
    """Call `act` at every SIGHUP, which would else end the process."""
    before = signal.signal(signal.SIGHUP, lambda _number, _frame: act())
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second SIGINT acts at once, for an impatient person.

    Further SIGTERMs change nothing: `timeout` and some supervisors send two in a row.
    """
    stop = threading.Event()
    kinds = (signal.SIGTERM, signal.SIGINT)
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def request(number: int, _frame: FrameType | None) -> None:
        stop.set()
        if number == signal.SIGINT:
            signal.signal(number, before[signal.SIGINT])
        else:
            # For the rest of the process: a late second one must not make a failure of a clean end.
            before[signal.SIGTERM] = signal.SIG_IGN

    for kind in kinds:
        signal.signal(kind, request)
    try:
        yield stop
    finally:
        for kind in kinds:
            signal.signal(kind, before[kind])


def summary(health: Health) -> str:
    """One line for a person about a finished run."""
    counts = " ".join(f"{outcome}={count}" for outcome, count in health.verdicts.items())
    waiting = f"; {health.pending} wait in the journal" if health.pending else ""
    refused = f"; {health.refused} refused by the broker" if health.refused else ""
    taken = f"{health.frames} frames"
    if health.parts != health.frames:
        taken = f"{health.parts} parts of {taken}"
    return (
        f"edge-inspect: {taken}, {sum(health.verdicts.values())} verdicts ({counts}), "
        f"{health.acknowledged} acknowledged{waiting}{refused}"
    )
