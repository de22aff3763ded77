"""A camera that a process of the test's plays: it can be frozen, go on, and be gone without a word."""

import signal
import subprocess
from abc import ABC, abstractmethod
from typing import Self


class PluggedCamera(ABC):
    """Sends from `plug_in`, which its kind knows how to do, to `unplug`; can be plugged in again."""

    _process: "subprocess.Popen[bytes] | subprocess.Popen[str] | None" = None

    @abstractmethod
    def plug_in(self) -> None:
        """Start it and wait until it answers."""

    def freeze(self) -> None:
        """It holds its connections and says nothing any more, as behind a switch that is off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it stood."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def unplug(self) -> None:
        """Without a word to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
