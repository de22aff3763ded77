"""A recorded session as a camera: `recording:FOLDER?speed=1&loop=0`.

Paces on the monotonic clock by the recording's own arrival times. Parts keep their ids and the times at
which they were captured; `arrived` is when they arrive here. Used by one thread.
"""

import time
from collections.abc import Iterator
from pathlib import Path

from edge_runtime.cameras.base import WELL, EndOfStream
from edge_runtime.cameras.recording import Recording
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.recording import RecordedFrame
from edge_runtime.errors import CameraError

_BEHIND_S = 1.0
"""How much of the time that a reader was away it is given back as a burst."""


class RecordedCamera:
    """The frames of a recording, in their order and at their own pace.

    `speed` is a factor: 2 for twice as fast, 0 for as fast as they are asked for. A reader that falls
    behind gets the next frame at once, and no frame is left out. With `loop` the recording begins again
    after its last frame; from the second round on parts are told apart as `PART@2`.
    """

    state = WELL

    def __init__(self, folder: str | Path, *, speed: float = 1.0, loop: bool = False) -> None:
        """Read the header and the first frame's line; raises CameraError where one is missing."""
        self._recording = Recording(folder)
        self._speed = speed
        self._loop = loop
        self._round = 0
        self._waiting: Iterator[RecordedFrame] = iter(())
        self._next: RecordedFrame | None = None
        self._closed = False
        self._begin_round()
        if self._next is None:
            raise CameraError(f"recording {folder} holds no frame: record it again")

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; None when it is not due within `timeout_s`."""
        if self._closed or self._next is None:
            raise EndOfStream
        entry = self._next
        wait_s = 0.0
        if self._speed:
            due = self._began + entry.arrived_s / self._speed
            now = time.monotonic()
            wait_s = due - now
            self._began += max(now - due - _BEHIND_S, 0.0)
        if wait_s > 0:
            time.sleep(min(wait_s, max(timeout_s, 0.0)))
        if wait_s > timeout_s:
            return None
        frame = Frame(
            part_id=entry.part_id + (f"@{self._round}" if self._round > 1 else ""),
            captured_at=entry.captured_at,
            arrived=time.monotonic(),
            image=self._recording.image(entry),
        )
        self._next = next(self._waiting, None)
        if self._next is None and self._loop:
            self._begin_round()
        return frame

    def close(self) -> None:
        """Hand over nothing more."""
        self._closed = True
        self._waiting = iter(())

    def _begin_round(self) -> None:
        self._round += 1
        self._began = time.monotonic()
        self._waiting = self._recording.frames()
        self._next = next(self._waiting, None)
