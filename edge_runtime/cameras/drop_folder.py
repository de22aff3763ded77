"""A folder that smart cameras fill by FTP, emptied as parts are answered: `dir:PATH?watch=1&done=...`.

Owns the rule when a file is whole, the order, and what becomes of a file afterwards. Judges no content.

A file is taken when two looks `settle_s` apart or more saw the same size and time of change, and its
container is whole (a JPEG's end marker, a PNG's last chunk). An upload that stalls is waited for, up to
`patience_s` without a change; after that the file is handed over as it is, and the frame gate says what
lacks. What cameras write under another suffix and rename (`x.jpg.part`) is not seen before that.

A file is moved or deleted when its verdict is durable (`answered`), not before: a station that is killed
finds its unanswered parts again, and answers those few a second time rather than not at all. A name that
was overwritten in the meantime is another part and stays.

Looks go oldest first and remember `_AT_ONCE` files, so that a million of them cost time but no memory,
and are interrupted when a read's time is over. `read` is used by one thread, `answered` by any.
"""

import os
import queue
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.cameras.base import EndOfStream, SourceState
from edge_runtime.cameras.directory import (
    NO_MEMORY,
    POLL_S,
    SUFFIXES,
    folder_problem,
    natural_order,
)
from edge_runtime.contracts.frame import Frame, Unreadable
from edge_runtime.errors import CameraError
from edge_runtime.image_header import MAX_BYTES, Undecodable, read_header

SETTLE_S = 0.5
PATIENCE_S = 10.0
_ENDINGS = tuple(SUFFIXES)
_AT_ONCE = 2048
"""Files that one look chooses, the oldest of all."""
_UNANSWERED = 8192
"""Files handed over and not put away at most: more than any station has on its way."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as it was at a look."""

    size: int
    changed_ns: int
    since: float
    """Since when it has been so, monotonic seconds."""

    def is_still(self, status: os.stat_result) -> bool:
        return (self.size, self.changed_ns) == (status.st_size, status.st_mtime_ns)


class DropFolder:
    """The images below a folder, each once, for as long as the station runs.

    Take `DirectoryCamera` for a recorded set, and for a folder that somebody else empties.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        move_to: str | os.PathLike[str] | None,
        settle_s: float = SETTLE_S,
        patience_s: float = PATIENCE_S,
        poll_s: float = POLL_S,
    ) -> None:
        """Raises CameraError. `move_to` is on the same file system; None: delete what is answered."""
        self._root = Path(path).expanduser().absolute()
        self._move_to = None if move_to is None else Path(move_to).expanduser()
        _require_movable(self._root, self._move_to)
        self._settle_s = settle_s
        self._patience_s = patience_s
        self._poll_s = poll_s
        self._seen: dict[Path, _Seen] = {}
        self._look: Iterator[None] = self._looking()
        self._next_look = 0.0
        self._ready: list[Path] = []
        self._unanswered: dict[str, tuple[Path, _Seen]] = {}
        self._on_their_way: set[str] = set()  # the same files, by their paths
        self._answered: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._leaving: list[str] = []
        self._problem: str | None = None
        self._closed = False

    @property
    def state(self) -> SourceState:
        """What keeps answered files from being put away, if anything does."""
        return SourceState(problem=self._problem)

    def answered(self, part_ids: Iterable[str]) -> None:
        """The verdicts on these parts are durable: their files go with the next read."""
        for part_id in part_ids:
            self._answered.put(part_id)

    def read(self, timeout_s: float) -> Frame | None:
        """The oldest file that is whole. One slow file may take longer than allowed."""
        deadline = time.monotonic() + timeout_s
        while not self._closed:
            self._put_away()
            while self._ready and len(self._unanswered) < _UNANSWERED:
                frame = self._taken(self._ready.pop())
                if frame is not None:
                    return frame
            if time.monotonic() >= self._next_look:
                self._go_on_looking(deadline)
            now = time.monotonic()
            if now >= deadline:
                return None
            if not self._ready or len(self._unanswered) >= _UNANSWERED:
                time.sleep(max(0.0, min(deadline, self._next_look) - now))
        raise EndOfStream

    def close(self) -> None:
        """Put away what was answered; hand over nothing more."""
        if not self._closed:
            self._put_away()
        self._closed = True

    # --- looking ---------------------------------------------------------------------------------

    def _go_on_looking(self, deadline: float) -> None:
        """As far as the time allows; the next call goes on from there."""
        for number, _ in enumerate(self._look, start=1):
            if number % 64 == 0 and time.monotonic() >= deadline:
                return
        self._look = self._looking()
        self._next_look = time.monotonic() + self._poll_s

    def _looking(self) -> Iterator[None]:
        """One look at everything, entry by entry; at its end it is known what has settled."""
        oldest: list[tuple[int, str, int]] = []
        for file in _files(self._root, self._move_to):
            yield
            if file is not None and file[0] not in self._on_their_way:
                name, status = file
                oldest.append((status.st_mtime_ns, name, status.st_size))
                if len(oldest) == 2 * _AT_ONCE:
                    oldest.sort()
                    del oldest[_AT_ONCE:]
        # A file may have been handed over since this look came by it.
        chosen = (file for file in oldest if file[1] not in self._on_their_way)
        in_order = sorted(chosen, key=lambda file: (file[0], natural_order(file[1])))
        now, seen = time.monotonic(), dict[Path, _Seen]()
        for changed_ns, name, size in in_order[:_AT_ONCE]:
            path = Path(name)
            before = self._seen.get(path)
            as_before = before is not None and (before.size, before.changed_ns) == (
                size,
                changed_ns,
            )
            seen[path] = before if before and as_before else _Seen(size, changed_ns, now)
        self._seen = seen
        self._ready = [path for path in reversed(seen) if now - seen[path].since >= self._settle_s]

    # --- taking and putting away -----------------------------------------------------------------

    def _taken(self, path: Path) -> Frame | None:
        """The file as a frame; None while it is not whole."""
        arrived, seen = time.monotonic(), self._seen[path]
        patient = arrived - seen.since < self._patience_s
        image: bytes | Unreadable
        try:
            with path.open("rb") as file:
                # Of a file beyond the decoder's limit, just enough for it to say so.
                image = file.read(min(seen.size, MAX_BYTES) + 1)
                if not seen.is_still(os.fstat(file.fileno())):
                    return None
        except FileNotFoundError:  # somebody took it away: there is no part to answer for
            return None
        except OSError as exc:
            if patient:  # a writer may hold it
                return None
            image = Unreadable((exc.strerror or type(exc).__name__).lower())
        except MemoryError:
            image = Unreadable(NO_MEMORY)
        if patient and isinstance(image, bytes) and _lacks_its_end(image):
            return None
        part_id = self._part_id(path)
        self._unanswered[part_id] = (path, seen)
        self._on_their_way.add(str(path))
        return Frame(
            part_id=part_id,
            captured_at=datetime.fromtimestamp(seen.changed_ns / 1e9, UTC),
            arrived=arrived,
            image=image,
        )

    def _put_away(self) -> None:
        while not self._answered.empty():
            part_id = self._answered.get_nowait()
            if part_id in self._unanswered:
                self._leaving.append(part_id)
        self._problem, leaving = None, self._leaving
        self._leaving = []
        for part_id in leaving:
            try:
                self._finish(*self._unanswered[part_id])
            except OSError as exc:
                self._problem = (
                    f"answered files in {self._root} cannot be put away ({exc.strerror or exc}): "
                    "mend the folder's permissions, or free space where they go"
                )
                self._leaving.append(part_id)
            else:
                self._on_their_way.discard(str(self._unanswered.pop(part_id)[0]))

    def _finish(self, path: Path, seen: _Seen) -> None:
        try:
            if not seen.is_still(path.stat()):
                return
        except FileNotFoundError:
            return
        if self._move_to is None:
            path.unlink()
            return
        target = self._move_to / path.relative_to(self._root)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.rename(_free_name(target))

    def _part_id(self, path: Path) -> str:
        return os.fsencode(path.relative_to(self._root)).decode("utf-8", "backslashreplace")


def _lacks_its_end(data: bytes) -> bool:
    try:
        read_header(data)
    except Undecodable as exc:
        return exc.reason.startswith(("truncated", "empty"))
    return False


def _free_name(target: Path) -> Path:
    """The target, or the first of `NAME.2.jpg`, `NAME.3.jpg`... that is free: nothing is overwritten."""
    candidate, number = target, 1
    while candidate.exists():
        number += 1
        candidate = target.with_name(f"{target.stem}.{number}{target.suffix}")
    return candidate


def _files(root: Path, passed_over: Path | None) -> Iterator[tuple[str, os.stat_result] | None]:
    """Every image below `root`, in no order; None for whatever else there is. Raises CameraError.

    Nothing is kept of an entry that was given.
    """
    entered: set[tuple[int, int]] = set()
    if passed_over is not None:
        entered.add(_identity(passed_over.stat()))
    pending = [root]
    while pending:
        folder = pending.pop()
        try:
            identity = _identity(folder.stat())
            if identity in entered:
                continue
            entered.add(identity)
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        pending.append(Path(entry))
                    elif entry.name.lower().endswith(_ENDINGS) and entry.is_file():
                        try:
                            yield entry.path, entry.stat()
                        except FileNotFoundError:  # taken away since it was listed
                            continue
                    else:
                        yield None
        except FileNotFoundError as exc:
            if folder == root:
                raise CameraError(folder_problem(folder, exc)) from exc
        except OSError as exc:
            raise CameraError(folder_problem(folder, exc)) from exc


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _require_movable(root: Path, move_to: Path | None) -> None:
    try:
        with os.scandir(root):
            device = root.stat().st_dev
    except OSError as exc:
        raise CameraError(folder_problem(root, exc)) from exc
    if not os.access(root, os.W_OK | os.X_OK):
        raise CameraError(
            f"files may not be moved out of {root} by this user (uid {os.geteuid()}), as done= asks: "
            "allow it with chmod o+wx, or add the user to the folder's group"
        )
    if move_to is None:
        return
    try:
        move_to.mkdir(parents=True, exist_ok=True)
        status = move_to.stat()
    except OSError as exc:
        raise CameraError(f"folder {move_to} cannot be made: {exc.strerror or exc}") from exc
    if status.st_dev != device:
        raise CameraError(
            f"folder {move_to} is not on the file system of {root}: choose one there, so that a file "
            "is in one of them at any time"
        )
    if _identity(status) == _identity(root.stat()):
        raise CameraError(f"done=move: leads back to {root}: choose another folder")
