"""The station's publisher over MQTT v5.

**Threads.** The publisher owns its network thread, which alone touches paho and the connection. Any
other thread reaches it through the `SendWindow`, under one lock, and a wake-up socket. Each attempt
gets a fresh `Connection`: neither a failure nor an outdated retained state lives on in a client's
queue. What must outlive a connection is in the window, and what must outlive the process in the
journal.

Messages that an earlier connection left unanswered go out again as new ones: for QoS 1 a broker
keeps no state by packet identifier of what it receives (MQTT v5, 4.1), and consumers de-duplicate
by `seq`.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from edge_runtime.mes.address import MqttAddress
from edge_runtime.mes.back_off import BackOff
from edge_runtime.mes.base import Acknowledgement, Message
from edge_runtime.mes.connection import Connection
from edge_runtime.mes.credentials import ANONYMOUS, Credentials
from edge_runtime.mes.window import Outgoing, SendWindow

_LOG = logging.getLogger(__name__)

_BACK_OFF_BASE_S: Final = 0.25
_BACK_OFF_CAP_S: Final = 10.0
_TICK_S: Final = 1.0
"""How often an idle connection looks after its keep-alive."""


class MqttPublisher:
    """A station's end of an MQTT v5 session; see `Publisher` for what each method promises."""

    def __init__(
        self,
        address: MqttAddress,
        *,
        client_id: str,
        availability_topic: str,
        credentials: Credentials = ANONYMOUS,
    ) -> None:
        self._address = address
        self._client_id = client_id
        self._availability_topic = availability_topic
        self._credentials = credentials
        self._lock = threading.Lock()
        """Guards the window and what follows."""
        self._window = SendWindow(availability_topic)
        self._connections = 0
        self._problem: str | None = f"broker {address} is not connected yet"
        self._back_off = BackOff(base_s=_BACK_OFF_BASE_S, cap_s=_BACK_OFF_CAP_S)
        """The network thread's own."""
        self._waker: socket.socket | None = None
        self._stop_by: float | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._on_acknowledged: Callable[[Acknowledgement], None] | None = None
        self._on_message: dict[str, Callable[[Message], None]] = {}

    @property
    def connected(self) -> bool:
        with self._lock:
            return self._window.open

    @property
    def connections(self) -> int:
        with self._lock:
            return self._connections

    @property
    def problem(self) -> str | None:
        with self._lock:
            return self._problem

    def listen(self, topic: str, on_message: Callable[[Message], None]) -> None:
        self._on_message[topic] = on_message

    def start(self, on_acknowledged: Callable[[Acknowledgement], None]) -> None:
        if self._thread is not None:
            raise RuntimeError("this publisher was started before")
        self._on_acknowledged = on_acknowledged
        wakened, self._waker = socket.socketpair()
        wakened.setblocking(False)
        self._waker.setblocking(False)
        self._thread = threading.Thread(
            target=self._run, args=(wakened,), name="mqtt-publisher", daemon=True
        )
        self._thread.start()

    def publish(self, number: int, topic: str, payload: bytes) -> bool:
        with self._lock:
            taken = self._window.offer(number, topic, payload)
            if taken:
                self._wake()
            return taken

    def set_state(self, topic: str, payload: bytes) -> None:
        with self._lock:
            self._window.set_state(topic, payload)
            self._wake()

    def stop(self, timeout_s: float) -> None:
        with self._lock:
            if self._stop_by is None:
                self._stop_by = time.monotonic() + timeout_s
                self._window.finish()
                self._stopping.set()
                self._wake()
        if self._thread is not None:
            self._thread.join(timeout_s)

    def _wake(self) -> None:
        if self._waker is not None:
            # A full buffer means that the thread has plenty of reasons to wake already.
            with suppress(BlockingIOError):
                self._waker.send(b"\0")

    # --- the network thread ------------------------------------------------------------------------

    def _run(self, wakened: socket.socket) -> None:
        while not self._stopping.is_set():
            self._converse(wakened)
            self._stopping.wait(self._back_off.delay_s())
        with self._lock, wakened:
            if self._waker is not None:
                self._waker.close()
                self._waker = None

    def _converse(self, wakened: socket.socket) -> None:
        """One connection, from its attempt to its end."""
        connection = Connection(
            self._address,
            self._client_id,
            self._availability_topic,
            self._credentials,
            self._on_message,
        )
        try:
            connection.open()
            while connection.alive and not self._goodbye(connection):
                self._send_waiting(connection)
                if connection.alive:
                    connection.serve(wakened, self._tick_s())
                self._settle(connection)
                self._note_quiet(connection)
        except Exception:  # noqa: BLE001 - the supervision edge: a defect must not end delivery for good
            _LOG.exception("broker %s: the publisher failed, connecting anew", self._address)
            connection.ended = "was left after an internal error, see the log"
        finally:
            connection.drop()
        self._lost(connection)

    def _tick_s(self) -> float:
        with self._lock:
            if self._stop_by is None:
                return _TICK_S
            return max(0.0, min(_TICK_S, self._stop_by - time.monotonic()))

    def _send_waiting(self, connection: Connection) -> None:
        while connection.alive:
            with self._lock:
                item = self._window.next()
            if item is None:
                return
            refusal = connection.send(item)
            if refusal is not None:
                self._answered(item, refusal)

    def _settle(self, connection: Connection) -> None:
        """Take over what the connection has learnt since the last look."""
        for item, refusal in connection.take_answers():
            self._answered(item, refusal)
        for message in connection.take_arrived():
            # The session may still hold a subscription of an earlier version.
            if (on_message := self._on_message.get(message.topic)) is not None:
                on_message(message)
        with self._lock:
            if self._window.open or not (connection.accepted and connection.alive):
                return
            self._window.opened(connection.quota)
            self._connections += 1
            self._problem = None
        _LOG.info("connected to broker %s as %s", self._address, self._client_id)

    def _note_quiet(self, connection: Connection) -> None:
        """A broker that stands still, or a cable that was pulled, ends no connection for a while."""
        with self._lock:
            if not self._window.open or connection.quiet == (self._problem is not None):
                return
            said = "acknowledges nothing at present" if connection.quiet else None
            self._problem = None if said is None else f"broker {self._address} {said}"
        _LOG.warning("broker %s %s", self._address, said or "acknowledges again")

    def _answered(self, item: Outgoing, refusal: str | None) -> None:
        with self._lock:
            self._window.answered(item)
        self._report(item, refusal)

    def _report(self, item: Outgoing, refusal: str | None) -> None:
        if item.number is not None and self._on_acknowledged is not None:
            self._on_acknowledged(
                Acknowledgement(topic=item.topic, number=item.number, refusal=refusal)
            )
        elif refusal is not None:
            _LOG.warning("broker %s refused state %s: %s", self._address, item.topic, refusal)

    def _lost(self, connection: Connection) -> None:
        self._back_off.attempted(connection.lasted_s)
        problem = f"broker {self._address} {connection.ended}{self._back_off.remark}"
        with self._lock:
            culprit = self._window.closed(over_message=connection.over_message)
            news = problem != self._problem
            self._problem = problem
        if culprit is not None:
            self._report(culprit, f"over this message the broker {connection.ended}")
        if news and not self._stopping.is_set():
            _LOG.warning("%s; trying again", problem)

    def _goodbye(self, connection: Connection) -> bool:
        """True once a stop was asked for and there is nothing left to wait for."""
        with self._lock:
            if self._stop_by is None:
                return False
            if self._window.open and not self._window.finished:
                # Past the time it ends without DISCONNECT, so that the broker says `offline` for us.
                return time.monotonic() >= self._stop_by
            in_order = self._window.open
        if in_order:
            connection.bid_farewell()
        return True
