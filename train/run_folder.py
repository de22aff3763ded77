"""The folder of one training run: which files it has, and how they are written.

Every file is written aside and then renamed, so that a reader, a crash or a full disk finds the old file
or the new one and never half of one. What the files say is the business of those who write them.
"""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from train.errors import RunError


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """Paths within a run folder."""

    path: Path

    @property
    def record(self) -> Path:
        """`run.json`: settings, data, versions; everything needed to repeat the run."""
        return self.path / "run.json"

    @property
    def last(self) -> Path:
        """`last.pth`: the state after the last finished epoch; `--resume` goes on from it."""
        return self.path / "last.pth"

    @property
    def best(self) -> Path:
        """`best.pth`: the averaged weights of the full-size epoch with the best `reachable_f1`."""
        return self.path / "best.pth"

    @property
    def metrics(self) -> Path:
        """`metrics.csv`: one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def split(self) -> Path:
        """`split.csv`: which image was taught and which was held back."""
        return self.path / "split.csv"

    @property
    def quarantine(self) -> Path:
        """`quarantine.csv`: images that could not be decoded, each with its reason."""
        return self.path / "quarantine.csv"

    @property
    def sheet(self) -> Path:
        """`augmentation.png`: what the network sees of some images."""
        return self.path / "augmentation.png"

    @property
    def calibration(self) -> Path:
        """`calibration.json`: the decision rule, and the evidence that it was chosen by."""
        return self.path / "calibration.json"

    @property
    def curve(self) -> Path:
        """`calibration.svg`: recall and false positives along the threshold."""
        return self.path / "calibration.svg"

    def create(self) -> None:
        """Make the folder; raises RunError when it holds another run already."""
        if self.record.exists():
            raise RunError(
                f"{self.path} holds a run already: continue it with --resume, or choose another --output"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise RunError(f"cannot make the run folder {self.path}: {exc.strerror}") from exc


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
