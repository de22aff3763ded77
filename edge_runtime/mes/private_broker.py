"""A mosquitto of one's own on a free loopback port: for the demo, benchmarks and tests.

Starts Debian's broker as a child process with a throw-away configuration, and leaves nothing behind.
"""

import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_runtime.errors import BrokerError

_PLACES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin")
"""Where packages put mosquitto although an ordinary user's PATH does not look there."""


def find_mosquitto() -> str | None:
    """Path of the mosquitto program, or None where it is not installed."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path=":".join(_PLACES))


class PrivateBroker:
    """A running mosquitto; use as a context manager. `port` stays the same across `restart`."""

    def __init__(self, *, persistence: bool = False, extra_config: str = "") -> None:
        program = find_mosquitto()
        if program is None:
            raise BrokerError("mosquitto is not installed: apt install mosquitto")
        self._program = program
        self.port = _free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="edge-inspect-broker-"))
        # As root mosquitto drops to its own user, who must be able to write here.
        self.folder.chmod(0o777)
        config = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            # 0 would mean no limit, but mosquitto 2.0 then cuts the connection after each refusal.
            "max_queued_messages 1000000",
            "set_tcp_nodelay true",
        ]
        if persistence:
            config += [
                "persistence true",
                f"persistence_location {self.folder}/",
                "autosave_interval 1",
            ]
        self._config = self.folder / "mosquitto.conf"
        self._config.write_text("\n".join([*config, extra_config, ""]), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """`mqtt://127.0.0.1:PORT`."""
        return f"mqtt://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running broker; raises BrokerError while it is down."""
        if self._process is None:
            raise BrokerError("the private broker is not running")
        return self._process.pid

    def start(self, timeout_s: float = 10.0) -> None:
        """Start the broker and wait until it accepts connections; raises BrokerError if it does not."""
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self._process = subprocess.Popen(  # noqa: S603 - our own file and a program from PATH
                [self._program, "-c", str(self._config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in the terminal is for the person's command, which then stops the broker.
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=0.2).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        words = (self.folder / "mosquitto.log").read_text(errors="replace").strip().splitlines()
        self.kill()
        raise BrokerError(f"mosquitto did not start: {words[-1] if words else 'it said nothing'}")

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """End the process with a signal and reap it; a killed broker can be started again."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal_number)
                # One that was stopped by a test heeds nothing but SIGKILL until it goes on.
                self._process.send_signal(signal.SIGCONT)
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Kill it the hard way and start it again on the same port."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill(signal.SIGTERM)
        shutil.rmtree(self.folder, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
