"""What a process owns and can leak: child processes, descriptors, shared memory mapped and named."""

import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """Two counts are equal exactly when nothing was left behind."""

    children: frozenset[int]
    descriptors: int
    nameless: int
    """Descriptors of sockets, pipes and memory: files by name may be opened at their first use only."""
    mappings: int
    """Of shared memory, named or not."""
    named: frozenset[str]
    """Of shared memory in /dev/shm that carries the project's name or Python's."""

    @classmethod
    def count(cls) -> Self:
        """What this process has now; zombies count as children.

        Other tests' garbage, which holds sockets, is collected first, so that it does not go meanwhile.
        """
        gc.collect()
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Self:
        """What that process has now. Raises OSError when it is gone."""
        about = Path("/proc") / str(pid)
        maps = (about / "maps").read_text().splitlines()
        targets = list(_targets(about / "fd"))
        return cls(
            children=frozenset(_children(pid)),
            descriptors=len(targets),
            nameless=sum(not target.startswith("/") or "memfd:" in target for target in targets),
            mappings=sum("memfd:" in line or "/dev/shm/" in line for line in maps),  # noqa: S108
            named=frozenset(
                path.name
                for path in Path("/dev/shm").iterdir()  # noqa: S108
                if path.name.startswith(("edge-inspect", "psm_"))
            ),
        )


def _targets(folder: Path) -> Iterator[str]:
    for entry in folder.iterdir():
        try:
            yield str(entry.readlink())
        except OSError:  # closed since it was listed
            continue


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # gone since it was listed
                continue
            if int(fields[1]) == parent:
                found.append(int(entry.name))
    return found
