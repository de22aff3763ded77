"""Image files of a folder as frames: a recorded set, or a drop folder that a smart camera fills.

Owns the order, the choice of files and, in watch mode, the rule that a file is taken only once it has
stopped growing. Judges no content: a file of no bytes is handed over as it is. Used by one thread.

Every file that has an image's suffix becomes exactly one frame. One that cannot be read becomes a frame
without a picture (`Unreadable`), so that its part is answered `not_inspected` and the run goes on. A
folder that cannot be listed hides an unknown number of parts, so it stops the source.

Watch mode polls; it needs no support from the file system, and works on network shares. It keeps one
entry per file that is in the folder, so the folder is to be emptied by whoever fills it. What was there
at a restart is handed over again, and a file that is overwritten under its old name is not: take
`drop_folder.py` where the station may move or delete what it has answered.
"""

import os
import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from edge_runtime.cameras.base import WELL, EndOfStream
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError
from edge_runtime.image_header import MAX_BYTES

SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"))
"""Lower case; a file's own may be in any."""
POLL_S = 0.25
"""Seconds between two looks of watch mode; a new file is taken after two to three of them."""

NO_MEMORY = "no memory to read it"
"""Why a part has no picture on a machine that is short of memory."""

Look: TypeAlias = tuple[int, int]
"""A file's size in bytes and time of change in nanoseconds."""


class Settling:
    """Which files have stopped growing: two looks in a row saw the same size and time of change.

    Looks in, paths out, each path once; no clock, no files.
    """

    def __init__(self) -> None:
        self._last: Mapping[Path, Look] = {}
        self._given: set[Path] = set()

    def settled(self, looks: Mapping[Path, Look]) -> list[Path]:
        """Paths that settled with this look, in its order. What is no longer there is forgotten."""
        self._given &= looks.keys()
        ready = [
            path
            for path, look in looks.items()
            if path not in self._given and self._last.get(path) == look
        ]
        self._given.update(ready)
        self._last = looks
        return ready


class DirectoryCamera:
    """The image files below a folder, in natural order (`part2` before `part10`), folder by folder.

    Without `watch` it ends after the last file; with it, never. `part_id` is the path below the folder,
    `captured_at` the file's time of change.
    """

    state = WELL

    def __init__(
        self, path: str | os.PathLike[str], *, watch: bool = False, poll_s: float = POLL_S
    ) -> None:
        """Look through the whole folder once; raises CameraError where that cannot work."""
        self._root = Path(path).expanduser()
        self._poll_s = poll_s
        self._settling = Settling() if watch else None
        self._next_look = 0.0
        self.skipped = 0
        """Files at the last look that have no image's suffix, or are no files; they become no frames."""
        images = sum(1 for _ in self._images())
        if not images and not watch:
            raise CameraError(
                f"folder {self._root} has no image among its {self.skipped} files: put "
                f"{', '.join(sorted(SUFFIXES))} files there, or wait for them with dir:...?watch=1"
            )
        self._waiting: Iterator[Path] = iter(()) if watch else self._images()
        self._closed = False

    def read(self, timeout_s: float) -> Frame | None:
        """The next file; watch mode waits up to `timeout_s` for one. A slow disk may take longer."""
        deadline = time.monotonic() + timeout_s
        while not self._closed:
            path = next(self._waiting, None)
            if path is not None:
                return self._frame(path)
            if self._settling is None:
                break
            if time.monotonic() >= self._next_look:
                ready = self._settling.settled(self._look())
                self._next_look = time.monotonic() + self._poll_s
                if ready:
                    self._waiting = iter(ready)
                    continue
            now = time.monotonic()
            if now >= deadline:
                return None
            time.sleep(max(0.0, min(deadline, self._next_look) - now))
        raise EndOfStream

    def close(self) -> None:
        """Hand over nothing more."""
        self._closed = True
        self._waiting = iter(())

    def _frame(self, path: Path) -> Frame:
        arrived, captured_at = time.monotonic(), datetime.now(UTC)
        image: bytes | Unreadable
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                captured_at = datetime.fromtimestamp(status.st_mtime, UTC)
                # Of a file beyond the decoder's limit, just enough for it to say so.
                image = file.read(min(status.st_size, MAX_BYTES) + 1)
        except OSError as exc:
            image = Unreadable((exc.strerror or type(exc).__name__).lower())
        except MemoryError:
            image = Unreadable(NO_MEMORY)
        name = os.fsencode(path.relative_to(self._root)).decode("utf-8", "backslashreplace")
        return Frame(part_id=name, captured_at=captured_at, arrived=arrived, image=image)

    def _look(self) -> dict[Path, Look]:
        looks: dict[Path, Look] = {}
        for path in self._images():
            try:
                status = path.stat()
            except OSError:  # taken away since it was listed: nothing to hand over any more
                continue
            looks[path] = (status.st_size, status.st_mtime_ns)
        return looks

    def _images(self) -> Iterator[Path]:
        """Every image file, counting those it passes over."""
        self.skipped = 0
        for entry in _entries(self._root):
            path = Path(entry)
            if path.suffix.lower() in SUFFIXES and entry.is_file():
                yield path
            else:
                self.skipped += 1


def _entries(root: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below `root` that is no folder, listing one folder at a time.

    Links to folders are followed, each folder is entered once. Raises CameraError.
    """
    entered: set[tuple[int, int]] = set()
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            status = folder.stat()
            if (status.st_dev, status.st_ino) in entered:
                continue
            entered.add((status.st_dev, status.st_ino))
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: natural_order(entry.name))
        except OSError as exc:
            raise CameraError(folder_problem(folder, exc)) from exc
        pending.extend(Path(entry) for entry in reversed(listed) if entry.is_dir())
        yield from (entry for entry in listed if not entry.is_dir())


def natural_order(name: str) -> tuple[tuple[tuple[str, int], ...], str]:
    """A sort key that compares runs of digits as numbers; the name itself settles what is left."""
    pieces = re.findall(r"([^0-9]*)([0-9]*)", name)
    return tuple((text, int(digits or -1)) for text, digits in pieces), name


def folder_problem(folder: Path, exc: OSError) -> str:
    """What keeps a folder from being read, and how to mend it."""
    match exc:
        case FileNotFoundError():
            return f"no folder at {folder}: check the path after dir:"
        case NotADirectoryError():
            return (
                f"{folder} is a file: dir: takes the folder it lies in, a video goes without dir:"
            )
        case PermissionError():
            return (
                f"folder {folder} may not be read by this user (uid {os.geteuid()}): "
                f"allow it with chmod o+rx, or add the user to the folder's group"
            )
        case _:
            return f"folder {folder} cannot be read: {exc.strerror or exc}"
