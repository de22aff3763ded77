"""The notification protocol of systemd: datagrams of `KEY=value` lines to the socket it names.

Knows the words, and not when they are true; `edge_runtime.service.supervisor` does. Without
`NOTIFY_SOCKET` every word goes nowhere, so that a station runs alike in a terminal and under systemd.

Protocol: sd_notify(3), sd_watchdog_enabled(3). A supervisor that does not listen costs a line in the
log, once, and never the station.
"""

import logging
import os
import socket
import time
from collections.abc import Mapping
from typing import Final

_LOG = logging.getLogger(__name__)
_PATIENCE_S: Final = 1.0
"""How long a word may wait for room in the socket."""


class Notifier:
    """Says things to systemd; safe from several threads."""

    def __init__(self, address: str | None, *, watchdog_s: float | None = None) -> None:
        """`address` of the socket, a path or `@name` for an abstract one; None where nobody listens.

        `watchdog_s` is how long systemd waits from one ping to the next, seconds; None if it does not.
        """
        self.watchdog_s = watchdog_s
        self._complained = False
        self._socket: socket.socket | None = None
        if address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(_PATIENCE_S)
            self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def listened_to(self) -> bool:
        """Whether there is anybody to say things to."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """The station takes in parts; also what ends a reload."""
        self._say("READY=1", _status(status))

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._say(_status(status))

    def alive(self) -> None:
        """A ping to the watchdog."""
        self._say("WATCHDOG=1")

    def extend(self, seconds: float) -> None:
        """What is being done, the start or the end, needs up to so many seconds from now on."""
        self._say(f"EXTEND_TIMEOUT_USEC={seconds * 1e6:.0f}")

    def reloading(self) -> None:
        """The configuration is being read anew; `ready` follows."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """No more parts are taken in."""
        self._say("STOPPING=1", _status(status))

    def close(self) -> None:
        """Give the socket back; safe to call twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *words: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(words).encode(), self._address)
        except OSError as exc:
            if not self._complained:
                self._complained = True
                _LOG.warning("NOTIFY_SOCKET %r does not answer: %s", self._address, exc)


def open_notifier(environment: Mapping[str, str]) -> Notifier:
    """The notifier that systemd's variables describe; one that says nothing where there are none."""
    # WATCHDOG_PID names the process that is to ping: not one that inherited the variables from it.
    meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    period = environment.get("WATCHDOG_USEC", "")
    watchdog_s = int(period) / 1e6 if meant and period.isdecimal() and int(period) else None
    return Notifier(environment.get("NOTIFY_SOCKET"), watchdog_s=watchdog_s)


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}"
