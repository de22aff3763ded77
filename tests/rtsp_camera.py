"""A network camera that speaks RTSP: GStreamer's server on loopback, which can be killed and frozen.

It sends 25 pictures a second, as MJPEG or H.264, and each says which it is and when it was taken
(`tests.rtsp_picture`). OpenCV asks for them over TCP.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugged_camera import PluggedCamera
from tests.rtsp_server import ABSENT, USER


class RtspCamera(PluggedCamera):
    """Sends from `plug_in` to `unplug`; can be plugged in again, at the same address."""

    def __init__(self, codec: str = "jpeg", *, password: str = "") -> None:
        """`codec` is one of `rtsp_server.CODECS`; with a password it serves nobody who has it not."""
        self._codec = codec
        self._password = password
        self._port = 0

    @property
    def address(self) -> str:
        """With the password; known once it was plugged in."""
        user = f"{USER}:{self._password}@" if self._password else ""
        return f"rtsp://{user}127.0.0.1:{self._port}/camera"

    def plug_in(self) -> None:
        """Start it and wait until it listens. Skips the test where it cannot run, with the reason."""
        command = [sys.executable, "-m", "tests.rtsp_server", str(self._port), self._codec]
        process = self._process = subprocess.Popen(
            [*command, self._password],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if not said.isdigit():
            status = process.wait(10)
            self.unplug()
            if status == ABSENT:
                pytest.skip(said)
            pytest.fail(f"the RTSP server ended with exit code {status}: {said}")
        self._port = int(said)
