"""How a split's folder is written: every image opened once, the lists aside, then one rename.

Owns the writing, for whoever makes a split (`train.data.freeze`) or a larger one of it
(`train.data.enlarge`). Who stands where is theirs to say. One that exists is never touched.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.decoding import Undecodable, decode
from edge_runtime.written_aside import folder_written_aside
from optimize.data.dataset import Dataset
from optimize.data.manifest import OPTIONAL, Sample
from train.data.frozen_split import COLUMNS, QUARANTINE, RECORD, SplitRecord
from train.data.ledger import LEDGER
from train.data.stream import in_order, read_image
from train.errors import RunError, SealError
from train.written_aside import write_csv

Row = tuple[str, ...]
Hashes = npt.NDArray[np.uint8]
"""(N, 32) SHA-256 of each file's content: kept as they are, since there may be millions."""


def refuse_existing(out: Path) -> None:
    """Raise SealError where the folder is there already."""
    if out.exists():
        raise SealError(
            f"{out} exists already, and a frozen split is never overwritten: name another folder"
        )


def look_at(
    dataset: Dataset, workers: int, advanced: Callable[[int], object]
) -> tuple[Hashes, dict[int, str]]:
    """Open every image: their hashes, and by index why some cannot be decoded."""

    def look(index: int) -> tuple[bytes, str | None]:
        data = read_image(dataset, index)
        try:
            decode(data)
        except Undecodable as exc:
            return hashlib.sha256(data).digest(), str(exc)
        return hashlib.sha256(data).digest(), None

    total = len(dataset.samples)
    hashes, faults = np.empty((total, 32), np.uint8), {}
    with ThreadPoolExecutor(workers, thread_name_prefix="freeze") as pool:
        looks = in_order(pool, look, total, ahead=4 * workers)
        for index, (digest, fault) in enumerate(looks):
            hashes[index] = np.frombuffer(digest, np.uint8)
            if fault is not None:
                faults[index] = fault
            advanced(1)
    return hashes, faults


def row(sample: Sample, side: str) -> Row:
    """A sample's cells, as COLUMNS name them."""
    others = (getattr(sample, name) for name in OPTIONAL)
    return (sample.path, sample.label, sample.group, side, *others)


def rows_of(dataset: Dataset, sides: Sequence[str], *wanted: str) -> Iterator[Row]:
    """The rows of some sides."""
    for sample, side in zip(dataset.samples, sides, strict=True):
        if side in wanted:
            yield row(sample, side)


@dataclass(frozen=True, slots=True)
class Lists:
    """A split's folder that is being written."""

    folder: Path

    def write(self, name: str, rows: Iterable[Row]) -> None:
        """Write one list."""
        write_csv(self.folder / name, COLUMNS, rows)

    def quarantine(self, dataset: Dataset, faults: Mapping[int, str]) -> int:
        """List the images that are on no side, with the reason; returns how many."""
        left_out = [
            (path, "", "no label: it lies beside the class folders") for path in dataset.unlabelled
        ]
        for index, reason in faults.items():
            sample = dataset.samples[index]
            left_out.append((sample.path, sample.label, reason))
        write_csv(self.folder / QUARANTINE, ("path", "label", "reason"), left_out)
        return len(left_out)

    def sha256(self, name: str) -> str:
        """Of a list that was written."""
        with (self.folder / name).open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()

    def finish(self, record: SplitRecord) -> None:
        """Write the record and an empty ledger."""
        (self.folder / LEDGER).touch()
        (self.folder / RECORD).write_text(record.to_json(indent=2) + "\n", encoding="utf-8")


@contextmanager
def written_split(target: Path) -> Iterator[Lists]:
    """A new folder beside `target` that takes its name when the block succeeds, and else vanishes."""
    with folder_written_aside(
        target,
        error=lambda _place, why: RunError(f"cannot write {target}: {why}; nothing was left there"),
    ) as aside:
        yield Lists(aside)
