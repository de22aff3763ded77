"""A recorded session on disk: frames as they came, and when. Written by one thread, read by any.

    FOLDER/recording.json      the header
    FOLDER/frames.jsonl        one line for each frame, in the order they came
    FOLDER/frames/00000001.jpg

Owns the format. Judges no image: damaged bytes are kept as damaged as they came, pixels become PNG
without loss, and a part without a picture keeps its reason.

A frame's line is written after its file, in one piece, so a recording whose writer was killed holds
whole frames only: what has no line yet, or half of one at the end, is not there. After a power cut the
last files may lack their bytes; their hash tells, and their parts are answered as unreadable.
"""

import errno
import hashlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from pydantic import ValidationError

from edge_runtime.contracts.frame import Frame, Pixels, Unreadable
from edge_runtime.contracts.recording import ImageForm, RecordedFrame, RecordingHeader
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.errors import CameraError, UsageError

HEADER = "recording.json"
INDEX = "frames.jsonl"
FRAMES = "frames"
_SUFFIXES = {
    b"\xff\xd8\xff": "jpg",
    b"\x89PNG": "png",
    b"BM": "bmp",
    b"II*\0": "tif",
    b"MM\0*": "tif",
}
"""By how a file begins; for people, since a replay looks at no suffix."""


class RecordingWriter:
    """A new recording that grows frame by frame; a context manager."""

    def __init__(self, folder: Path, *, source: str, is_simulated: bool) -> None:
        """Make the folder; raises UsageError where it is there and not empty, or cannot be made.

        `source` is written down: give it without a password.
        """
        self._folder = folder
        self._began: float | None = None
        self.frames = 0
        """Written so far."""
        self.size = 0
        """Bytes of all images so far."""
        header = RecordingHeader(
            source=source, is_simulated=is_simulated, began_at=datetime.now(UTC)
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise UsageError(f"{folder} is not empty: a recording wants a folder of its own")
            (folder / FRAMES).mkdir()
            (folder / HEADER).write_text(header.to_json(indent=2) + "\n", encoding="utf-8")
            # Unbuffered, so that each line is one call to the system.
            self._index = (folder / INDEX).open("xb", buffering=0)
        except OSError as exc:
            raise self._refused(exc) from exc

    def add(self, frame: Frame) -> None:
        """Keep a frame; raises UsageError when the disk does not take it, which ends the recording."""
        if self._began is None:
            self._began = frame.arrived
        form, data, reason = _kept(frame.image)
        name = None if data is None else f"{self.frames + 1:08d}.{_suffix(data)}"
        entry = RecordedFrame(
            part_id=frame.part_id,
            captured_at=frame.captured_at,
            arrived_s=round(max(frame.arrived - self._began, 0.0), 6),
            image=form,
            file=name,
            sha256=None if data is None else hashlib.sha256(data).hexdigest(),
            reason=reason,
        )
        try:
            if name is not None and data is not None:
                (self._folder / FRAMES / name).write_bytes(data)
            line = entry.to_json().encode() + b"\n"
            whole = self._index.write(line) == len(line)
        except OSError as exc:
            raise self._refused(exc) from exc
        if not whole:
            raise self._refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self.frames += 1
        self.size += len(data or b"")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._index.close()

    def _refused(self, exc: OSError) -> UsageError:
        kept = f" after {self.frames} frames, which can be replayed" if self.frames else ""
        return UsageError(
            f"{self._folder} cannot be written{kept} ({exc.strerror or exc}): free space, or choose "
            "another folder"
        )


class Recording:
    """A recording that is there, finished or not."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Read its header; raises CameraError where there is none."""
        self._folder = Path(folder).expanduser()
        path = self._folder / HEADER
        try:
            self.header = RecordingHeader.model_validate_json(path.read_bytes())
        except OSError as exc:
            raise CameraError(
                f"{self._folder} holds no recording: {path.name} cannot be read "
                f"({(exc.strerror or str(exc)).lower()}); a folder of images is read with "
                f"dir:{self._folder}"
            ) from exc
        except ValidationError as exc:
            raise CameraError(
                f"{path} is no header of a recording: {exc.errors()[0]['msg']}"
            ) from exc

    def frames(self) -> Iterator[RecordedFrame]:
        """Its frames in order, one at a time; a last line that is not whole is not there.

        Raises CameraError at the first line that is damaged.
        """
        path = self._folder / INDEX
        try:
            with path.open("rb") as index:
                for number, line in enumerate(index, start=1):
                    if not line.endswith(b"\n"):
                        return
                    yield _read_line(line, f"{path}: line {number}")
        except OSError as exc:
            raise CameraError(f"{path} cannot be read: {exc.strerror or exc}") from exc

    def image(self, frame: RecordedFrame) -> bytes | Pixels | Unreadable:
        """What the source gave, in the form that it gave.

        `Unreadable` too where the file is damaged, or memory is too short for it.
        """
        try:
            return self._image(frame)
        except MemoryError:
            return Unreadable("no memory to read it")

    def _image(self, frame: RecordedFrame) -> bytes | Pixels | Unreadable:
        if frame.file is None:
            return Unreadable(frame.reason or "no picture was recorded")
        try:
            data = (self._folder / FRAMES / frame.file).read_bytes()
        except OSError as exc:
            return Unreadable(f"recording: {(exc.strerror or type(exc).__name__).lower()}")
        if hashlib.sha256(data).hexdigest() != frame.sha256:
            return Unreadable("recording: the file is not what was recorded")
        if frame.image is ImageForm.ENCODED:
            return data
        try:
            return decode(data)
        except Undecodable as exc:
            return Unreadable(f"recording: {exc.reason}")


def _read_line(line: bytes, where: str) -> RecordedFrame:
    try:
        return RecordedFrame.model_validate_json(line)
    except ValidationError as exc:
        raise CameraError(
            f"{where} is damaged ({exc.errors()[0]['msg']}): restore the file, or cut it before"
        ) from exc


def _kept(image: bytes | Pixels | Unreadable) -> tuple[ImageForm, bytes | None, str | None]:
    """The form, the bytes of its file, and the reason where there is none."""
    match image:
        case Unreadable(reason):
            return ImageForm.UNREADABLE, None, reason
        case bytes(data):
            return ImageForm.ENCODED, data, None
        case pixels:
            # Level 1: five times as fast as the default, for a few per cent of size.
            _, encoded = cv2.imencode(
                ".png",
                cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2BGR),
                [cv2.IMWRITE_PNG_COMPRESSION, 1],
            )
            return ImageForm.PIXELS, bytes(encoded), None


def _suffix(data: bytes) -> str:
    return next((name for start, name in _SUFFIXES.items() if data.startswith(start)), "bin")
