"""How every file of this floor is written: aside, then renamed, so that a reader, a crash or a full disk
finds the old file or the new one and never half of one.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from train.errors import RunError


@contextmanager
def written_aside(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the target's name when the block succeeds.

    Raises RunError in place of an OSError (disk full, no permission); the old file then stays.
    """
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        yield aside
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.replace(target)
    except OSError as exc:
        raise RunError(
            f"cannot write {target}: {exc.strerror or exc}; what was there before is kept"
        ) from exc
    finally:
        aside.unlink(missing_ok=True)


def write_csv(target: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file aside, then rename it."""
    with written_aside(target) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
