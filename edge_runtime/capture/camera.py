"""A camera in a process of its own as a `CameraSource`: the station does not see a difference.

    station -> CaptureCamera -> process -> ring <- child -> the source itself

`read` returns in the time it was given whatever the source does: a process that hangs, crashes or writes
garbage is killed and started anew, with pauses, for as long as the station runs. Supervision happens
within `read`; there is no thread. Every frame of a camera that runs freely is looked at before it is
handed over: one that is stale, or does not look as the golden frame says, becomes `Unreadable`, so that
its part is answered `not_inspected` with the reason.

A source that cannot go on where it was, such as a video file, is not started anew: it would hand the
same parts over again. There a lost process is a CameraError.
"""

import logging
import time
from collections.abc import Callable

import numpy as np

from edge_runtime.cameras.address import masked
from edge_runtime.cameras.base import CameraSource, EndOfStream, SourceState
from edge_runtime.cameras.sources import open_source, parse_source
from edge_runtime.capture.golden import GoldenFrame
from edge_runtime.capture.process import CaptureProcess, ProcessLost
from edge_runtime.capture.ring import Kind, Record
from edge_runtime.capture.supervision import Limits, Supervision
from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.errors import CameraError

_LOG = logging.getLogger(__name__)
_FAILED_GRACE_S = 0.2
"""How long a source that failed may take to close: a GigE camera is free again at once if it is told."""
_LOOK_S = 0.25
"""How often a process that gives nothing is looked after, at least."""


def open_camera(text: str) -> CameraSource:
    """The source in the process where it belongs: its own for what may hang, this one for the others.

    `process=0` or `process=1` in the source's text decides otherwise. Raises CameraError.
    """
    spec = parse_source(text)
    if not spec.own_process:
        return open_source(text)
    silence_s = spec.parameters.get("silence", Limits().silence_s) if spec.live else None
    return CaptureCamera(
        text,
        live=spec.live,
        resumes=spec.resumes,
        limits=Limits(silence_s=silence_s or None),  # 0 is without a limit
    )


class CaptureCamera:
    """A source that lives in another process, which is killed and replaced as often as it has to be."""

    def __init__(
        self,
        source: str,
        *,
        opener: Callable[[str], CameraSource] = open_source,
        live: bool = True,
        resumes: bool = True,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        """Open it; raises CameraError when that fails the first time, later failures are mended.

        `opener` is a function of a module, not a lambda: the other process imports it. `live`: frames
        are exposures of this moment, and one that finds no room is dropped. `resumes`: a new process
        goes on where the last one was.
        """
        self._source = source
        self._opener = opener
        self._live = live
        self._resumes = resumes
        self._limits = limits
        self._supervision = Supervision(limits)
        self._golden = GoldenFrame()
        self._problem: str | None = None
        self._lost_since = 0.0
        self._connections = 1
        self._lost = self._lost_before = 0
        self._restart_at = 0.0
        self._dying: CaptureProcess | None = None
        self._ended = False
        self._process: CaptureProcess | None = None
        try:
            self._process = self._start()
            self._await_opening()
        except OSError as exc:
            raise CameraError(
                f"no process could be started for {masked(source)}: {exc.strerror or exc}; "
                "see how much memory and how many processes are in use"
            ) from exc
        except BaseException:
            self.close()
            raise

    @property
    def state(self) -> SourceState:
        """What is wrong at present, and what was lost and mended so far; for any thread."""
        return SourceState(problem=self._problem, restarts=self._connections - 1, lost=self._lost)

    @property
    def pid(self) -> int | None:
        """The process that has the source at present."""
        return None if self._process is None else self._process.pid

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None; in time, whatever the source does."""
        deadline = time.monotonic() + timeout_s
        while not self._ended:
            now = time.monotonic()
            frame = self._step(min(max(deadline - now, 0.0), _LOOK_S))
            if frame is not None:
                return frame
            if time.monotonic() >= deadline:
                return None
        raise EndOfStream

    def close(self) -> None:
        """End the process; kill it where it does not end by itself."""
        self._ended = True
        for process in (self._process, self._dying):
            if process is not None:
                process.close()
        self._process = self._dying = None

    # --- one step --------------------------------------------------------------------------------

    def _step(self, timeout_s: float) -> Frame | None:
        if self._process is None:
            self._restart_when_due(timeout_s)
            return None
        try:
            record = self._process.take(timeout_s)
        except ProcessLost as exc:
            self._give_up(str(exc), grace_s=0.0)
            return None
        self._lost = self._lost_before + self._process.lost
        frame = None if record is None else self._handle(record)
        if self._process is not None and (record is None or self._problem is not None):
            fault = self._supervision.fault(time.monotonic(), self._process.beat)
            if fault is not None:
                self._give_up(fault, grace_s=0.0)
        return frame

    def _handle(self, record: Record) -> Frame | None:
        match record.kind:
            case Kind.OPENED:
                self._supervision.opened(time.monotonic())
                return None
            case Kind.ENDED:
                self.close()
                return None
            case Kind.FAILED:
                self._give_up(record.text, grace_s=_FAILED_GRACE_S)
                return None
        problem = self._unusable(record) if self._live else None
        if problem is None:
            self._well_again()
        elif problem != self._problem:
            self._note(problem)
        # A new process numbers its parts from the start again; no two parts may share an id.
        again = f"@{self._connections}" if self._connections > 1 and self._live else ""
        return Frame(
            part_id=record.text + again,
            captured_at=record.captured_at,
            arrived=min(record.arrived, time.monotonic()),
            image=record.image if problem is None else Unreadable(problem),
            counter=record.counter,
        )

    def _unusable(self, record: Record) -> str | None:
        """Why a frame is not to be judged."""
        age = record.posted - record.arrived
        if age > self._limits.stale_s:
            return f"stale frame: {age:.1f} s old when the camera gave it"
        if isinstance(record.image, Unreadable):
            return record.image.reason
        if isinstance(record.image, np.ndarray):
            changed = self._compare(record.image)
            if changed is not None:
                return f"the camera does not show what it did before: {changed}"
        return None

    def _compare(self, pixels: Pixels) -> str | None:
        """With the golden frame; says once what the scene does not show."""
        knew = self._golden.reference is not None
        changed = self._golden.difference(pixels)
        reference = self._golden.reference
        if reference is not None and not knew and reference.cannot_see:
            _LOG.info(
                "camera %s: this scene would not show %s after a reconnection",
                masked(self._source),
                ", ".join(reference.cannot_see),
            )
        return changed

    # --- processes come and go -------------------------------------------------------------------

    def _start(self) -> CaptureProcess:
        now = time.monotonic()
        self._supervision.started(now)
        return CaptureProcess(
            self._opener,
            self._source,
            waits=not self._live,
            limit_s=2 * max(self._limits.open_s, self._limits.hang_s),
        )

    def _await_opening(self) -> None:
        process = self._process
        while process is not None:
            fault = self._supervision.fault(time.monotonic(), process.beat)
            if fault is not None:
                raise CameraError(f"{masked(self._source)}: {fault}; check its power and cable")
            try:
                record = process.take(_LOOK_S)
            except ProcessLost as exc:
                raise CameraError(f"{masked(self._source)}: {exc} while it was opened") from exc
            if record is not None and record.kind == Kind.FAILED:
                raise CameraError(record.text)
            if record is not None:
                self._handle(record)
                return

    def _give_up(self, why: str, grace_s: float) -> None:
        process, self._process = self._process, None
        assert process is not None  # noqa: S101 - only a process that is there is given up
        self._lost_before += process.lost + process.unread()
        self._lost = self._lost_before
        self._dying = None if process.close(grace_s) else process
        if not self._resumes:
            self.close()
            raise CameraError(f"{masked(self._source)}: {why}")
        if self._problem is None:
            self._lost_since = time.monotonic()
        self._note(why)
        self._restart_at = self._supervision.lost(time.monotonic())

    def _restart_when_due(self, timeout_s: float) -> None:
        wait_s = self._restart_at - time.monotonic()
        if wait_s > timeout_s:
            time.sleep(timeout_s)
            return
        time.sleep(max(wait_s, 0.0))
        if self._dying is not None and not self._dying.close(0.0):
            self._restart_at = self._supervision.lost(time.monotonic())
            return
        self._dying = None
        self._connections += 1
        self._golden.reconnected()
        try:
            self._process = self._start()
        except OSError as exc:  # no memory or no process to be had at present
            self._note(f"no process could be started: {exc.strerror or exc}")
            self._restart_at = self._supervision.lost(time.monotonic())

    # --- what is said about it -------------------------------------------------------------------

    def _note(self, problem: str) -> None:
        if problem != self._problem:
            _LOG.warning("camera %s: %s", masked(self._source), problem)
        self._problem = problem

    def _well_again(self) -> None:
        self._supervision.usable(time.monotonic())
        if self._problem is not None:
            _LOG.info(
                "camera %s is back after %.1f s",
                masked(self._source),
                time.monotonic() - self._lost_since,
            )
            self._problem = None
