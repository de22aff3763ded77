"""Between a station and those who keep it alive: says what is true of it, when it is true.

A ping to systemd's watchdog means: nothing that the station owes is owed for longer than half the
watchdog's time. A process that lives while its camera, engine or disk hangs therefore falls silent, and
is started anew after at most one and a half times `WatchdogSec`. The same question decides `/healthz`;
`/readyz` asks in addition whether parts can be inspected and recorded.

Runs one thread of its own, which asks the station and never waits for it.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Protocol, Self

from edge_runtime.contracts.drift import DriftReport
from edge_runtime.contracts.health import Health
from edge_runtime.service.distribution import Distribution
from edge_runtime.service.endpoint import Endpoint, Page
from edge_runtime.service.notify import Notifier

_LOG = logging.getLogger(__name__)
_PATIENCE_S: Final = 5.0
"""What counts as a stall where no watchdog says otherwise, seconds."""
_LOOK_EVERY_S: Final = 0.2
_STATUS_EVERY_S: Final = 5.0
_EXTEND_EVERY_S: Final = 5.0
_EXTEND_BY_S: Final = 30.0
_BUILD_WITHIN_S: Final = 1800.0
"""Longer than any engine was seen to take; one that hangs is not waited for beyond that."""


class Supervised(Protocol):
    """What is asked of a station; may be asked from any thread."""

    @property
    def ending(self) -> bool:
        """No more parts are taken in."""
        ...

    @property
    def unready(self) -> str | None:
        """Why parts cannot be inspected and recorded at present; None when they can."""
        ...

    def stalled_s(self) -> float:
        """How long what the station owes has been owed, seconds."""
        ...

    def health(self) -> Health:
        """The present state."""
        ...

    def drift(self) -> DriftReport:
        """How far the line is from training."""
        ...

    def stages(self) -> Mapping[str, Distribution]:
        """Durations by stage."""
        ...


class Supervisor:
    """Supervises one station, from before it is opened until after it has drained."""

    def __init__(
        self,
        notifier: Notifier,
        *,
        reload: Callable[[], str],
        http: tuple[str, int] | None = None,
    ) -> None:
        """`reload` reads the configuration anew and returns one line about it; never raises.

        `http` is the host and port of `/healthz`, `/readyz` and `/metrics`; None for none of them.
        Raises ServiceError when the address is taken.
        """
        self._notifier = notifier
        self._reload = reload
        self._patience_s = _PATIENCE_S if notifier.watchdog_s is None else notifier.watchdog_s / 2
        self._station: Supervised | None = None
        self._stopping = False
        self._stalled = False
        self._reload_wanted = threading.Event()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._endpoint: Endpoint | None = None
        if http is not None:
            self._endpoint = Endpoint(
                *http,
                {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics},
            )

    @property
    def http_port(self) -> int | None:
        """Where probes and scrapes are answered; None where they are not."""
        return None if self._endpoint is None else self._endpoint.port

    @contextmanager
    def building(self) -> Iterator[None]:
        """While an engine is built, systemd is asked to wait for the start, half an hour at most."""
        over = threading.Event()

        def extend() -> None:
            give_up_at = time.monotonic() + _BUILD_WITHIN_S
            while time.monotonic() < give_up_at:
                self._notifier.extend(_EXTEND_BY_S)
                if over.wait(_EXTEND_EVERY_S):
                    return

        self._notifier.status("the engine is built")
        thread = threading.Thread(target=extend, name="building")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def watch(self, station: Supervised) -> None:
        """The station is open and about to run: tell so, and look after it from now on."""
        self._station = station
        self._notifier.ready("ready")
        self._thread = threading.Thread(target=self._look_after, args=(station,), name="supervise")
        self._thread.start()

    def request_reload(self) -> None:
        """Read the configuration anew soon; may be called by a signal handler."""
        self._reload_wanted.set()

    def close(self) -> None:
        """The station has drained or failed; safe to call twice."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        if self._endpoint is not None:
            self._endpoint.close()
        self._notifier.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- the thread --------------------------------------------------------------------------------

    def _look_after(self, station: Supervised) -> None:
        ping_every_s = self._patience_s / 2
        next_ping = next_status = time.monotonic()
        look_every_s = min(_LOOK_EVERY_S, ping_every_s)
        while not self._over.wait(look_every_s):
            now = time.monotonic()
            if station.ending:
                self._note_end()
            if self._reload_wanted.is_set() and not self._stopping:
                self._reload_wanted.clear()
                self._notifier.reloading()
                self._notifier.ready(self._reload())
                next_status = now + _STATUS_EVERY_S
            if now >= next_ping and not self._stopping:
                next_ping = now + ping_every_s
                self._note_stall(station.stalled_s())
                if not self._stalled and self._notifier.watchdog_s is not None:
                    self._notifier.alive()
            if now >= next_status and self._notifier.listened_to:
                next_status = now + _STATUS_EVERY_S
                self._notifier.status(_summary(station.health(), self._stopping))
        self._note_end()

    def _note_end(self) -> None:
        """From here on TimeoutStopSec is the limit, and systemd's watchdog sleeps."""
        if not self._stopping:
            self._stopping = True
            self._notifier.stopping("draining: what was taken in is answered")

    def _note_stall(self, stalled_s: float) -> None:
        stalled = stalled_s >= self._patience_s
        if stalled and not self._stalled:
            _LOG.error("nothing has gone forward for %.1f s: the watchdog is not pinged", stalled_s)
        elif self._stalled and not stalled:
            _LOG.info("it goes forward again")
        self._stalled = stalled

    # --- the pages ---------------------------------------------------------------------------------

    def _healthz(self) -> Page:
        stalled_s = 0.0 if self._station is None else self._station.stalled_s()
        problem = None
        if stalled_s >= self._patience_s:
            problem = f"nothing has gone forward for {stalled_s:.1f} s"
        return _answer(problem)

    def _readyz(self) -> Page:
        return _answer(self._why_unready())

    def _why_unready(self) -> str | None:
        station = self._station
        if station is None:
            return "starting"
        if station.ending:
            return "draining"
        stalled_s = station.stalled_s()
        if stalled_s >= self._patience_s:
            return f"nothing has gone forward for {stalled_s:.1f} s"
        return station.unready

    def _metrics(self) -> Page:
        station = self._station
        if station is None:
            return _answer("starting")
        # The library costs 60 ms of the start, which a station without a port need not spend.
        from edge_runtime.service.metrics import CONTENT_TYPE, State, exposition

        state = State(
            health=station.health(),
            drift=station.drift(),
            stages=station.stages(),
            stalled_s=station.stalled_s(),
            ready=self._why_unready() is None,
        )
        return Page(status=200, body=exposition(state), content_type=CONTENT_TYPE)


def _answer(problem: str | None) -> Page:
    body = json.dumps({"ok": problem is None, "problem": problem}) + "\n"
    return Page(status=200 if problem is None else 503, body=body.encode())


def _summary(health: Health, stopping: bool) -> str:
    doing, verdicts = "draining" if stopping else "inspecting", sum(health.verdicts.values())
    pending = f", {health.pending} wait for the broker" if health.pending else ""
    problem = f"; {health.problem}" if health.problem else ""
    return f"{doing}: {verdicts} verdicts for {health.parts} parts{pending}{problem}"
