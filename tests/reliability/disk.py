"""Disks that fail: a small one of one's own that can be filled, and system calls that end in errors.

The small disk is a tmpfs and needs root. Errors of single system calls are strace's: `strace -e inject`
makes the kernel answer with one, so they reach SQLite as they would from a real disk.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class SmallDisk:
    """A mounted file system of a few megabytes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "somebody-elses-file"

    def fill(self) -> None:
        """Use every byte that is left."""
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        """Give the space back."""
        self._filler.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """No more writing; nothing on it may be open for that."""
        subprocess.run(["mount", "-o", "remount,ro", str(self.path)], check=True)


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount one at `path`, and leave nothing behind."""
    path.mkdir()
    options = f"size={megabytes}M"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)], check=True)
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def why_no_small_disk() -> str | None:
    """Why this process may not mount one; None if it may."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return "mounting a small disk needs root"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        check=False,
        capture_output=True,
    )
    return None if tried.returncode == 0 else "this system does not allow mounting"


def failing(calls: str, error: str, when: str) -> tuple[str, ...]:
    """A wrapper under which these system calls fail, from the `when`-th of each thread on.

    `calls` as in `fsync,fdatasync`, `error` as in `EIO`, `when` as in `20+` or `20..40`.
    """
    return (
        *("strace", "--follow-forks", "--seccomp-bpf", "-qq", "-o", "/dev/null"),
        *("-e", f"trace={calls}"),
        *("-e", f"inject={calls}:error={error}:when={when}"),
    )


def why_no_failing() -> str | None:
    """Why system calls cannot be made to fail here; None if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(
        [*failing("fsync,fdatasync", "EIO", "1+"), "true"], check=False, capture_output=True
    )
    return None if tried.returncode == 0 else "strace may not trace here"
