"""Cameras, streams and video files through OpenCV; the one place where BGR becomes RGB.

Owns the translation of OpenCV's silent failures into one line. Used by one thread. FFmpeg, beneath it,
may still print a line of its own to standard error; only the environment could forbid that.

`read` may take longer than its caller allows: a device's driver can block for as long as it likes
(OpenCV issue 22677), and of a stream OpenCV takes its time limit only when it is opened. So a station
has devices and streams in a process of their own, see `edge_runtime.capture`.

Nothing tells how old a frame is, so what would make it old is kept small: a device is asked to buffer
one frame, a stream is decoded by one thread, and what an RTSP camera sent while it was being opened is
left out.
"""

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import cv2
import numpy as np

from edge_runtime.cameras.address import masked
from edge_runtime.cameras.base import WELL, EndOfStream
from edge_runtime.contracts.frame import Frame
from edge_runtime.errors import CameraError

OPEN_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 3.0
"""A stream that sends nothing for so long has failed."""


class OpenCvCamera:
    """A device by its index, an address (`rtsp://`, `http://`), or the path of a video file.

    `part_id` is `SOURCE-NUMBER`, numbered from 1 at each start: OpenCV knows nothing of parts.
    `captured_at` is when the frame arrived. A file ends; a device or stream that gives no frame has
    failed. Pictures are taken as stored, a video's rotation tag is ignored as an image's is.

    FFmpeg looks at an RTSP stream for about a second before it is open, and then gives what it saw as
    fast as it is read. These frames are not handed over: they would be taken for frames of this moment.
    """

    state = WELL

    def __init__(
        self,
        target: int | str,
        *,
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        """Open; raises CameraError. The time limits hold for streams alone."""
        # What OpenCV would log to standard error becomes a CameraError here.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._name, self._described = _names(target)
        self._finite = isinstance(target, str) and "://" not in target
        self._taken = 0
        self._ended = False
        asked = time.monotonic()
        if isinstance(target, int):
            self._capture = cv2.VideoCapture(target)
            self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        elif self._finite:
            _require_file(Path(target))
            self._capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG)
        else:
            settings = [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
                round(open_timeout_s * 1000),
                cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                round(read_timeout_s * 1000),
                # Each thread more makes H.264 one frame older; by default there is one for every core.
                cv2.CAP_PROP_N_THREADS,
                1,
            ]
            self._capture = cv2.VideoCapture(target, cv2.CAP_FFMPEG, settings)
        if not self._capture.isOpened():
            raise CameraError(_why_closed(target, self._described))
        self._capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 0)
        self._opened = time.monotonic()
        timed = isinstance(target, str) and target.lower().startswith(("rtsp:", "rtsps:"))
        self._opening_s = self._opened - asked if timed else 0.0

    def read(self, timeout_s: float) -> Frame | None:  # noqa: ARG002 - see the module's docstring
        """The next frame, for which it waits, see the module's docstring; None in place of one that
        was sent while the stream was being opened."""
        if self._ended:
            raise EndOfStream
        try:
            if not self._capture.grab():
                self._no_frame()
            if self._sent_while_opening():
                return None
            taken, image = self._capture.retrieve()
        except cv2.error as exc:
            raise CameraError(
                f"{self._described} failed after {self._taken} frames: {exc}"
            ) from exc
        arrived, captured_at = time.monotonic(), datetime.now(UTC)
        if not taken:
            self._no_frame()
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise CameraError(
                f"{self._described} gives {image.shape} {image.dtype}: expected three channels of "
                "8 bits; set the camera to a colour format"
            )
        self._taken += 1
        return Frame(
            part_id=f"{self._name}-{self._taken:08d}",
            captured_at=captured_at,
            arrived=arrived,
            image=np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), dtype=np.uint8),
        )

    def close(self) -> None:
        """Release the device or connection; afterwards `read` raises EndOfStream."""
        self._ended = True
        self._capture.release()

    def _sent_while_opening(self) -> bool:
        """Whether the grabbed frame is one of those, by the camera's own clock since its first frame."""
        now = time.monotonic()
        # A stream whose clock stands still loses as many seconds as it took to open, and no more.
        if now - self._opened >= self._opening_s:
            return False
        return self._capture.get(cv2.CAP_PROP_POS_MSEC) < self._opening_s * 1000

    def _no_frame(self) -> NoReturn:
        if self._finite and self._taken:
            self.close()
            raise EndOfStream
        if self._finite:
            raise CameraError(
                f"{self._described} holds no frame that can be read: check that it plays"
            )
        raise CameraError(
            f"{self._described} gave no frame after {self._taken}: "
            "check its power and cable, and that nobody else uses it"
        )


def _names(target: int | str) -> tuple[str, str]:
    """The part ids' prefix, and what a message calls the source; neither shows a password."""
    if isinstance(target, int):
        return f"opencv{target}", f"camera {target}"
    if "://" in target:
        address = urlsplit(masked(target))
        return f"{address.hostname or ''}{address.path}".rstrip("/"), f"stream {masked(target)}"
    return Path(target).name, f"video file {target}"


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise CameraError(f"{path} is a folder: its images are read with dir:{path}")
    if not path.exists():
        raise CameraError(
            f"no video file at {path}: check the path; other sources are named simulated:gen3, "
            "dir:PATH, opencv:0, rtsp://..."
        )
    if not os.access(path, os.R_OK):
        raise CameraError(f"video file {path} may not be read by this user (uid {os.geteuid()})")


def _why_closed(target: int | str, described: str) -> str:
    if isinstance(target, str):
        mend = (
            "check the address, its password, and that the camera is on"
            if "://" in target
            else "is it a video?"
        )
        return f"{described} cannot be opened: {mend}"
    present = devices()
    if target in present:
        return f"{described} cannot be opened: close what else uses it, and join the group video"
    there = f"there are {', '.join(map(str, present))}" if present else "no camera is connected"
    return f"{described} cannot be opened: {there} (looked for /dev/video{target})"


def devices() -> list[int]:
    """Indices of the video devices that there are."""
    names = (path.name.removeprefix("video") for path in Path("/dev").glob("video[0-9]*"))
    return sorted(int(name) for name in names if name.isdigit())
