"""How every file of this floor is written: aside, then renamed; RunError says why it could not be."""

import csv
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from edge_runtime import written_aside as below
from train.errors import RunError


def written_aside(target: Path) -> AbstractContextManager[Path]:
    """A path beside `target` to write to; it takes the target's name when the block succeeds.

    Raises RunError in place of an OSError (disk full, no permission); the old file then stays.
    """
    return below.written_aside(target, error=RunError)


def write_csv(target: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file aside, then rename it."""
    with written_aside(target) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
