"""Aravis's fake GigE Vision camera: real discovery, control and GVSP packets over loopback."""

import os
import shutil
import signal
import subprocess
import time
from typing import Self

import pytest

from edge_runtime.cameras.gige import aravis, serials
from edge_runtime.errors import CameraError

PROGRAM = "arv-fake-gv-camera-0.8"


class FakeGigeCamera:
    """512x512 Mono8 at 25 frames a second until it is unplugged; can be plugged in again."""

    def __init__(self, serial: str | None = None) -> None:
        """Skips the test where there is neither Aravis nor the program."""
        try:
            self._library, _ = aravis()
        except CameraError as exc:
            pytest.skip(str(exc))
        if shutil.which(PROGRAM) is None:
            pytest.skip(f"{PROGRAM} is not installed (apt install aravis-tools)")
        self.serial = serial or f"EI-{os.getpid()}"
        self._process: subprocess.Popen[bytes] | None = None

    def plug_in(self, *, lost_per_thousand: int = 0) -> None:
        """Start it and wait until it answers."""
        command = [PROGRAM, "-i", "127.0.0.1", "-s", self.serial, "-r", str(lost_per_thousand)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 10
        while self.serial not in serials(self._library):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.unplug()
                pytest.skip("the fake camera does not come up: another one may have its port, 3956")

    def freeze(self) -> None:
        """It holds its connection and says nothing any more, as behind a switch that is off."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on where it stood."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def unplug(self) -> None:
        """Without a word to anybody."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.plug_in()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
