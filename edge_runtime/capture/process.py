"""A camera's process seen from the station: started, listened to, killed, and never waited for long.

Owns the life of one process and of the ring that it writes to. Decides nothing: `supervision.py` says
when it is to be killed. A new interpreter and no fork, which would copy the locks of the station's
threads in whatever state they are.
"""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

from edge_runtime.cameras.base import CameraSource
from edge_runtime.capture.child import POSTED, Order
from edge_runtime.capture.ring import SLOTS, Record, Ring, RingDamaged

GRACE_S = 1.0
"""How long a process may take to close its source before it is killed."""
_NOT_PASSED_ON = ("EDGE_INSPECT_", "CREDENTIALS_DIRECTORY")
"""How variables begin that are the station's alone, the broker's password among them."""


class ProcessLost(Exception):  # noqa: N818 - an observation, answered by a restart
    """The process has ended, or writes what makes no sense."""


class CaptureProcess:
    """One process that reads one source, from its start to its end."""

    def __init__(
        self, opener: Callable[[str], CameraSource], source: str, *, waits: bool, limit_s: float
    ) -> None:
        """Start it; whether the source opens, its first record tells.

        Raises ValueError for an opener that no other process can import.
        """
        if opener.__module__ == "__main__" or not opener.__qualname__.isidentifier():
            raise ValueError(
                f"expected a function of an importable module as opener, got {opener.__qualname__} of "
                f"{opener.__module__}"
            )
        order = Order(
            path=tuple(sys.path),
            opener=f"{opener.__module__}:{opener.__qualname__}",
            source=source,
            waits=waits,
            limit_s=limit_s,
        )
        self._ring, descriptor = Ring.make()
        self._waiting = 0
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [
                    *(sys.executable, "-P", "-X", "faulthandler"),
                    *("-m", "edge_runtime.capture.child", str(descriptor)),
                ],
                env={
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(_NOT_PASSED_ON)
                },
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(descriptor,),
                start_new_session=True,  # Ctrl-C is for the station, which then ends this process
            )
        except OSError:
            self._ring.close()
            raise
        finally:
            os.close(descriptor)
        assert self._process.stdin is not None  # noqa: S101 - for the type checker: both are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._given_back = self._process.stdin
        self._posted = self._process.stdout
        self._write(order.to_line())

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def beat(self) -> float:
        """Its last sign of life, seconds on the monotonic clock; any number if it has gone mad."""
        return self._ring.beat

    @property
    def lost(self) -> int:
        """Frames that it had to drop because the station took none."""
        return self._ring.lost

    def take(self, timeout_s: float) -> Record | None:
        """The next record, or None when none came within the time.

        Raises ProcessLost once the process has ended and all that it posted is taken, and when what it
        posted is no record.
        """
        if not self._waiting:
            ready, _, _ = select.select([self._posted], [], [], max(timeout_s, 0.0))
            if not ready:
                return None
            told = os.read(self._posted.fileno(), 4096)
            if not told:
                raise ProcessLost(self._how_it_ended())
            if told.strip(POSTED) or len(told) > SLOTS:
                raise ProcessLost("its process wrote garbage")
            self._waiting = len(told)
        try:
            record = self._ring.take()
        except (RingDamaged, ValueError, OverflowError) as exc:
            raise ProcessLost(f"its process wrote garbage: {exc}") from exc
        self._waiting -= 1
        self._write(POSTED)
        return record

    def unread(self) -> int:
        """Records that it posted and nobody took."""
        waiting = self._waiting
        while select.select([self._posted], [], [], 0)[0]:
            told = os.read(self._posted.fileno(), 4096)
            if not told:
                break
            waiting += len(told)
        return min(waiting, SLOTS)

    def close(self, grace_s: float = GRACE_S) -> bool:
        """Let it close its source, else kill it. False where even then it stays: call again later.

        A process that hangs within the kernel cannot be ended before the kernel lets go of it.
        """
        for pipe in (self._given_back, self._posted):
            pipe.close()
        if self._process.poll() is None:
            try:
                self._process.wait(grace_s)
            except subprocess.TimeoutExpired:
                self._process.send_signal(signal.SIGKILL)
                try:
                    self._process.wait(GRACE_S)
                except subprocess.TimeoutExpired:
                    return False
        self._ring.close()
        return True

    def _write(self, data: bytes) -> None:
        with suppress(BrokenPipeError):  # it has ended, which the next take will see
            self._given_back.write(data)

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            return "its process closed its output"
        if code >= 0:
            return f"its process ended with exit code {code}"
        return f"its process was ended by {signal.Signals(-code).name}"
