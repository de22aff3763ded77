"""The daemon under test, as a process of its own: started, stopped, and killed as a fault would.

Knows the command line and signals, and nothing of what goes on inside. A `Station` says how to start it
and stays the same over restarts; a `Daemon` is one run of it.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).parents[2]
PRODUCT = ("edge_runtime.cli", "run")
"""Module and first words of the daemon as it ships; `tests.reliability.broken` has others."""
LINE, STATION, SITE = "L07", "S3", "plant-1"
TOPICS = f"inspection/{SITE}/{LINE}/{STATION}"


def broken_program(mistake: str) -> tuple[str, ...]:
    """The daemon with that mistake built in."""
    return ("tests.reliability.broken", mistake, "--", "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """How the daemon is started."""

    folder: Path
    """Holds the state folder and the log of all runs."""
    broker: str
    """`mqtt://...`"""
    bundle: Path
    rate: float = 100.0
    """Parts per second, 0 for as fast as it goes."""
    program: tuple[str, ...] = PRODUCT
    wrapper: tuple[str, ...] = ()
    """A command that runs the daemon, such as `strace -f`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)
    """Further configuration keys by their names on the command line, without `--`."""
    state: Path | None = None
    """Where the state folder is, if not in `folder`."""

    @property
    def state_dir(self) -> Path:
        """The daemon's state folder."""
        return self.state or self.folder / "state"

    def start(self) -> "Daemon":
        """Start it; use the result as a context manager."""
        return Daemon(self)

    def command(self) -> list[str]:
        """The whole command line."""
        flags = {
            "station": f"{LINE}-{STATION}",
            "site": SITE,
            "engine": "null",
            "bundle": str(self.bundle),
            "broker": self.broker,
            "source": f"simulated:gen3?seed=7&rate={self.rate:g}",
            "state-dir": str(self.state_dir),
            **self.flags,
        }
        words = [word for key, value in flags.items() for word in (f"--{key}", value)]
        return [*self.wrapper, sys.executable, "-m", *self.program, *words]


class Daemon:
    """One run of the daemon; at the end of the `with` block it is gone, whatever happened."""

    def __init__(self, station: Station) -> None:
        self._log = station.folder / "daemon.log"
        self._log.touch()
        self._log_begin = self._log.stat().st_size
        outer = {key: os.environ[key] for key in os.environ if not key.startswith("EDGE_INSPECT_")}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                station.command(),
                cwd=ROOT,
                # A camera's process looks for the project where it is installed, unless it is told.
                env={**outer, "PYTHONPATH": str(ROOT), **station.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A process group of its own: a wrapper and the daemon are killed together.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id; the wrapper's where there is one."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Not ended yet."""
        return self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL, as the power supply would; and reap it."""
        if self.running:
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it stands still in the middle of whatever it does."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT, after `freeze`; changes nothing where it runs."""
        os.killpg(self.pid, signal.SIGCONT)

    def stop(self, timeout_s: float = 60.0) -> int:
        """SIGTERM, then the exit code; one that does not end in time is killed (-9)."""
        if self.running:
            os.killpg(self.pid, signal.SIGTERM)
        return self.wait(timeout_s)

    def wait(self, timeout_s: float = 60.0) -> int:
        """The exit code once it has ended by itself; one that does not end in time is killed (-9)."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        return self._process.returncode

    def words(self) -> str:
        """What this run has written to stdout and stderr so far."""
        with self._log.open("rb") as log:
            log.seek(self._log_begin)
            return log.read().decode(errors="replace")

    def resident_mb(self) -> float:
        """Resident memory, MB of 10^6 bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def says(self, text: str, timeout_s: float = 20.0) -> bool:
        """True as soon as it has written `text`; False if it ends before, or the time is over."""
        deadline = time.monotonic() + timeout_s
        while self.running and time.monotonic() < deadline:
            if text in self.words():
                return True
            time.sleep(0.02)
        return text in self.words()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
