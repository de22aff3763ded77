"""Two small files beside the journal: one remembers its end, one keeps room on the disk.

SQLite takes a write-ahead log that is damaged or deleted for a shorter one and says nothing: the
newest verdicts would be gone and their numbers used again. The `EndMark` is written after every
commit, without a sync: a power cut may leave it behind the journal but never ahead of it, so a mark
that is ahead proves a loss.
"""

import os
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

_SEQ_BYTES: Final = 8
_LINK_BYTES: Final = 32
_CHECK_BYTES: Final = 4


class EndMark:
    """The number and the link of the newest verdict, in a file of 44 bytes; OSError if it cannot be."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def read(self) -> tuple[int, bytes] | None:
        """What was written last; None where nothing was, or a crash left half of it."""
        data = os.pread(self._file, _SEQ_BYTES + _LINK_BYTES + _CHECK_BYTES, 0)
        content, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if len(content) != _SEQ_BYTES + _LINK_BYTES or _check(content) != check:
            return None
        return int.from_bytes(content[:_SEQ_BYTES], "big"), content[_SEQ_BYTES:]

    def write(self, seq: int, link: bytes) -> None:
        """Remember a commit; the file keeps its size, so that a full disk does not forbid it."""
        content = seq.to_bytes(_SEQ_BYTES, "big") + link
        os.pwrite(self._file, content + _check(content), 0)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def _check(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CHECK_BYTES, "big")


class Reserve:
    """Disk space set aside, to be given up when the disk is full: even deleting needs some."""

    SIZE: Final = 8 << 20
    """Bytes; more than the write-ahead log grows to between two checkpoints."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def take(self) -> None:
        """Set the space aside if the disk has it; without, the journal works until the disk is full."""
        try:
            if self._path.exists() and self._path.stat().st_size == self.SIZE:
                return
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self.SIZE)
        except OSError:
            self.give_up()

    def give_up(self) -> None:
        """Hand the space back to the disk."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
