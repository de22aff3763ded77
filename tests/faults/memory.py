"""A machine that is short of memory: processes with a limit of their own, and the kernel's killer.

A control group needs root and its file system writable, as it is on a test machine.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")


class MemoryGroup:
    """Processes whose memory together is limited; children belong to their parent's group."""

    def __init__(self, path: Path, limit: str) -> None:
        self._path = path
        self._limit = limit

    def add(self, pid: int) -> None:
        """The process and the children that it will have."""
        (self._path / "cgroup.procs").write_text(str(pid))

    def limit(self, size: int) -> None:
        """In bytes; what is used beyond it has the kernel end a process of the group."""
        (self._path / self._limit).write_text(str(size))

    def used(self) -> int:
        """Bytes that count against the limit."""
        name = "memory.usage_in_bytes" if "limit" in self._limit else "memory.current"
        return int((self._path / name).read_text())


@contextmanager
def memory_group() -> Iterator[MemoryGroup]:
    """A group without a limit; at the end its processes are nobody's, and it is gone."""
    parent, limit = _place()
    path = parent / f"edge-inspect-test-{os.getpid()}"
    path.mkdir()
    try:
        yield MemoryGroup(path, limit)
    finally:
        for pid in (path / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (parent / "cgroup.procs").write_text(pid)
        path.rmdir()


def why_no_memory_group() -> str | None:
    """Why this process may not make one; None if it may."""
    try:
        with memory_group() as group:
            group.limit(1 << 30)
    except OSError as exc:
        return f"control groups of memory cannot be made here: {exc}"
    return None


def _place() -> tuple[Path, str]:
    if (_ROOT / "memory").is_dir():
        return _ROOT / "memory", "memory.limit_in_bytes"
    return _ROOT, "memory.max"
