"""The other end of `NOTIFY_SOCKET`, held by a test as systemd would hold it."""

import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.patience import eventually


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One datagram."""

    at: float
    """When it came, monotonic seconds."""
    lines: dict[str, str]
    """`READY` to `1`, and so on."""


class ListeningSystemd:
    """Keeps every word that a station says; use as a context manager."""

    def __init__(self, folder: Path, *, watchdog_s: float | None = None) -> None:
        self.address = str(folder / "notify")
        self._watchdog_s = watchdog_s
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.address)
        self._socket.settimeout(0.05)
        self._words: list[Word] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen)

    @property
    def environment(self) -> dict[str, str]:
        """The variables that systemd gives a unit of `Type=notify`."""
        variables = {"NOTIFY_SOCKET": self.address}
        if self._watchdog_s is not None:
            variables["WATCHDOG_USEC"] = f"{self._watchdog_s * 1e6:.0f}"
        return variables

    @property
    def words(self) -> list[Word]:
        """All of them so far, in order."""
        return list(self._words)

    def said(self, key: str) -> list[Word]:
        """Those that have a line for `key`."""
        return [word for word in self.words if key in word.lines]

    def hears(self, key: str, times: int = 1, timeout_s: float = 20.0) -> bool:
        """True as soon as `key` was said so often."""
        return eventually(lambda: len(self.said(key)) >= times, timeout_s)

    def falls_silent(self, key: str, for_s: float, within_s: float) -> bool:
        """True as soon as `key` has not been said for so long."""
        begun = time.monotonic()

        def silent() -> bool:
            last = max([begun, *(word.at for word in self.said(key))])
            return time.monotonic() - last >= for_s

        return eventually(silent, within_s)

    def _listen(self) -> None:
        while not self._over.is_set():
            try:
                datagram = self._socket.recv(65536)
            except TimeoutError:
                continue
            lines = dict(line.split("=", 1) for line in datagram.decode().splitlines())
            self._words.append(Word(at=time.monotonic(), lines=lines))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        self._socket.close()
