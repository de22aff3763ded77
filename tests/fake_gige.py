"""Aravis's fake GigE Vision camera: real discovery, control and GVSP packets over loopback."""

import os
import shutil
import subprocess
import time

import pytest

from edge_runtime.cameras.gige import aravis, serials
from edge_runtime.errors import CameraError
from tests.plugged_camera import PluggedCamera

PROGRAM = "arv-fake-gv-camera-0.8"


class FakeGigeCamera(PluggedCamera):
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

    def plug_in(self, *, lost_per_thousand: int = 0) -> None:
        """Start it and wait until it answers."""
        command = [PROGRAM, "-i", "127.0.0.1", "-s", self.serial, "-r", str(lost_per_thousand)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        give_up = time.monotonic() + 10
        while self.serial not in serials(self._library):
            if self._process.poll() is not None or time.monotonic() > give_up:
                self.unplug()
                pytest.skip("the fake camera does not come up: another one may have its port, 3956")
