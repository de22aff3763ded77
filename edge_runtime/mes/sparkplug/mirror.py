"""Mirrors verdicts to a broker as Sparkplug B, on a connection and threads of its own.

The system of record neither waits for the mirror nor shares anything with it but the broker: `mirror`
puts verdicts into a bounded queue, where the oldest give way and are counted.

**Threads.** The mirror's thread alone touches the session. paho's thread of the one connection that is
open reports to it through a `Link`; what both see is guarded by one condition.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import Verdict
from edge_runtime.errors import BrokerError
from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.back_off import BackOff
from edge_runtime.mes.credentials import Credentials
from edge_runtime.mes.sparkplug.bd_seq import BirthDeathSequence
from edge_runtime.mes.sparkplug.link import Link
from edge_runtime.mes.sparkplug.session import EdgeNode, SparkplugSession

_LOG = logging.getLogger(__name__)

_KEPT: Final = 2_000
"""Verdicts that wait for a connection at most: 16 minutes at 2 parts a second, about 6 MB."""
_BACK_OFF_BASE_S: Final = 0.5
_BACK_OFF_CAP_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class _Waiting:
    verdict: Verdict
    connection: int | None
    """The connection that was open when it came; on any other it is history."""


class SparkplugMirror:
    """One edge node `LINE-STATION` of a group. All methods may be called from any thread."""

    def __init__(
        self,
        address: MqttAddress,
        *,
        group: str,
        station: StationId,
        client_id: str,
        state_dir: Path,
        credentials: Credentials,
    ) -> None:
        """`client_id` is the publisher's; the mirror's own is `<client_id>-sparkplug`.

        Remembers `bdSeq` in `state_dir/sparkplug.bdseq`. Raises UsageError for a group that cannot be.
        """
        self._address = address
        self._client_id = f"{client_id}-sparkplug"
        self._credentials = credentials
        self._session = SparkplugSession(EdgeNode(group=group, node=str(station)))
        self._bd_seq = BirthDeathSequence(state_dir / "sparkplug.bdseq")
        self._back_off = BackOff(base_s=_BACK_OFF_BASE_S, cap_s=_BACK_OFF_CAP_S)
        self._changed = threading.Condition()
        """Guards what follows and the link's state."""
        self._waiting: deque[_Waiting] = deque()
        self._newest: Verdict | None = None
        self._dropped = 0
        self._connections = 0
        self._connected = False
        self._problem: str | None = f"broker {address} is not connected yet"
        self._stop_by: float | None = None
        self._thread: threading.Thread | None = None

    @property
    def connected(self) -> bool:
        """True from the births of the node until the loss of the connection."""
        with self._changed:
            return self._connected

    @property
    def problem(self) -> str | None:
        """Why there is no connection at present, in one line; None while connected."""
        with self._changed:
            return self._problem

    @property
    def dropped(self) -> int:
        """Verdicts that were not mirrored: they gave way in the queue, or an end cut them off."""
        with self._changed:
            return self._dropped

    def start(self) -> None:
        """Begin to connect, however long it takes."""
        if self._thread is not None:
            raise RuntimeError("this mirror was started before")
        self._thread = threading.Thread(target=self._run, name="sparkplug-mirror", daemon=True)
        self._thread.start()

    def mirror(self, verdicts: Sequence[Verdict]) -> None:
        """Take over verdicts in the order in which they were decided; never waits, never refuses."""
        with self._changed:
            connection = self._connections if self._connected else None
            self._waiting.extend(_Waiting(verdict, connection) for verdict in verdicts)
            if verdicts:
                self._newest = verdicts[-1]
            while len(self._waiting) > _KEPT:
                self._waiting.popleft()
                self._dropped += 1
            self._changed.notify()

    def stop(self, timeout_s: float) -> None:
        """Send what waits and the deaths, and disconnect, within `timeout_s`; safe to call twice."""
        with self._changed:
            if self._stop_by is None:
                self._stop_by = time.monotonic() + timeout_s
                self._changed.notify()
        if self._thread is not None:
            self._thread.join(timeout_s)

    # --- the mirror's thread -----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._converse()
            with self._changed:
                self._changed.wait_for(lambda: self._stopping, self._back_off.delay_s())
        with self._changed:
            self._dropped += len(self._waiting)
            self._waiting.clear()

    @property
    def _stopping(self) -> bool:
        return self._stop_by is not None

    def _converse(self) -> None:
        """One connection, from its attempt to its end."""
        will = self._session.begin(self._bd_seq.next(), now=_now())
        link = Link(
            self._address, self._client_id, will, self._session.command_topic, self._changed
        )
        try:
            link.open(self._credentials)
            if self._await_subscription(link):
                self._send_births(link)
                self._send_verdicts(link)
                self._send_deaths(link)
        except BrokerError as exc:
            link.ended = str(exc)
        except Exception:  # noqa: BLE001 - the supervision edge: a defect must not end the mirror for good
            _LOG.exception("broker %s: the Sparkplug mirror failed, connecting anew", self._address)
            link.ended = "was left after an internal error, see the log"
        finally:
            link.close()
        self._lost(link)

    def _await_subscription(self, link: Link) -> bool:
        """Whether the connection stands and hosts can reach the node before its births."""
        with self._changed:
            self._changed.wait_for(
                lambda: link.subscribed or link.ended is not None or self._stopping,
                link.PATIENCE_S,
            )
            if link.ended is None and not link.subscribed:
                link.ended = f"has not answered within {link.PATIENCE_S:.0f} s"
            return link.ended is None

    def _send_births(self, link: Link) -> None:
        with self._changed:
            current = self._newest
            self._connections += 1
            self._connected = True
            self._problem = None
        link.send(self._session.births(now=_now(), clock=time.monotonic(), current=current))
        _LOG.info("mirroring to broker %s as %s", self._address, self._client_id)

    def _send_verdicts(self, link: Link) -> None:
        """Until the connection ends, or a stop was asked for and nothing waits any more."""
        while self._await_work(link):
            self._obey_commands(link)
            if self._session.rebirth_wanted:
                self._send_births_again(link)
            else:
                self._send_next(link)

    def _await_work(self, link: Link) -> bool:
        """False once there will be none on this connection."""

        def work() -> bool:
            if link.ended is not None or link.commands or self._may_leave():
                return True
            return bool(self._waiting) and not (link.congested or self._session.rebirth_wanted)

        with self._changed:
            self._changed.wait_for(work, self._tick_s())
            return link.ended is None and not self._may_leave()

    def _obey_commands(self, link: Link) -> None:
        with self._changed:
            commands, link.commands = link.commands, []
        for command in commands:
            try:
                self._session.receive(command)
            except ValueError as exc:
                if not link.remarked:
                    link.remarked = True
                    _LOG.warning("ignoring a Sparkplug command: %s", exc)

    def _send_births_again(self, link: Link) -> None:
        clock = time.monotonic()
        if not self._session.rebirth_due_in(clock):
            link.send(self._session.births(now=_now(), clock=clock))

    def _send_next(self, link: Link) -> None:
        with self._changed:
            if not self._waiting or link.congested:
                return
            item = self._waiting.popleft()
            historical = item.connection != self._connections
        link.send(
            self._session.data(
                item.verdict, now=_now(), clock=time.monotonic(), historical=historical
            )
        )

    def _may_leave(self) -> bool:
        if self._stop_by is None:
            return False
        return not self._waiting or time.monotonic() >= self._stop_by

    def _tick_s(self) -> float | None:
        """How long to wait for news at most; None is until there are some."""
        now = time.monotonic()
        moments = [] if self._stop_by is None else [self._stop_by - now]
        if self._session.rebirth_wanted:
            moments.append(self._session.rebirth_due_in(now))
        return max(0.0, min(moments)) if moments else None

    def _send_deaths(self, link: Link) -> None:
        with self._changed:
            if link.ended is not None or self._stop_by is None:
                return
            patience_s = max(0.0, self._stop_by - time.monotonic())
        link.send(self._session.deaths(now=_now()))
        link.bid_farewell(patience_s)

    def _lost(self, link: Link) -> None:
        self._back_off.attempted(link.lasted_s)
        problem = None
        if not self._stopping:
            problem = f"broker {self._address} {link.ended}{self._back_off.remark}"
        with self._changed:
            self._dropped += link.unsent_verdicts
            self._connected = False
            news = problem != self._problem
            self._problem = problem
        if news and problem is not None:
            _LOG.warning("Sparkplug mirror: %s; trying again", problem)


def _now() -> int:
    """Wall time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000
