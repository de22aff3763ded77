"""How a split is frozen: every image is opened once, hashed and decoded, then the sides are written.

Owns the making of a split's folder. Who stands where is decided in `train.data.split`; what the folder
means, and how it is read, in `train.data.frozen_split`. The folder is written aside and renamed, and one
that exists is never touched.
"""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.decoding import Undecodable, decode
from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset, locate, read_rows
from optimize.data.manifest import OPTIONAL, table_columns
from optimize.data.samples import Samples, take
from optimize.data.sealed import SEALED
from train.data.frozen_split import (
    COLUMNS,
    QUARANTINE,
    RECORD,
    TAUGHT,
    FrozenSplit,
    SplitRecord,
    count_sides,
    split_sha256,
)
from train.data.ledger import LEDGER
from train.data.manifest import Source
from train.data.split import TEST, TRAIN, VALIDATION, Agreed, Plan, assign, check_sides
from train.data.stream import in_order, read_image, require_every_class
from train.errors import RunError, SealError
from train.written_aside import write_csv

Row = tuple[str, ...]
Hashes = npt.NDArray[np.uint8]
"""(N, 32) SHA-256 of each file's content: kept as they are, since there may be millions."""


def freeze(
    source: Source,
    out: Path,
    plan: Plan | Agreed,
    *,
    command: str,
    workers: int = 2,
    started: Callable[[int], object] = lambda _images: None,
    advanced: Callable[[int], object] = lambda _images: None,
) -> FrozenSplit:
    """Split a data set by plan, or as was agreed, and write the folder `out`.

    `started` is told how many images there are, `advanced` of each that was opened. Raises SealError
    where `out` exists, DatasetError for data that cannot be split, RunError where it cannot be written;
    nothing is left behind then.
    """
    if out.exists():
        raise SealError(
            f"{out} exists already, and a frozen split is never overwritten: name another folder"
        )
    dataset = source.read()
    agreed = _read_sides(source, plan.column) if isinstance(plan, Agreed) else []
    started(len(dataset.samples))
    hashes, faults = _look(dataset, workers, advanced)
    usable = [index for index in range(len(hashes)) if index not in faults]
    clean = replace(dataset, samples=take(dataset.samples, usable))
    require_every_class(dataset, clean.labels)
    clean, merged = merge_duplicates(clean, hashes[usable])
    assignment = (
        check_sides(clean.samples, [agreed[index] for index in usable], plan.column)
        if isinstance(plan, Agreed)
        else assign(clean, plan)
    )
    quarantine = list(_quarantine(dataset, faults))
    root = dataset.root.resolve()
    with _folder_aside(out) as aside:
        write_csv(aside / TAUGHT, COLUMNS, _rows(clean, assignment.sides, TRAIN, VALIDATION))
        write_csv(aside / SEALED, COLUMNS, _rows(clean, assignment.sides, TEST))
        write_csv(aside / QUARANTINE, ("path", "label", "reason"), quarantine)
        taught, sealed = (_sha256_of(aside / name) for name in (TAUGHT, SEALED))
        record = SplitRecord(
            made_at=datetime.now(UTC),
            command=command,
            root=root,
            source=source,
            plan=plan if isinstance(plan, Plan) else None,
            side_column=plan.column if isinstance(plan, Agreed) else None,
            cut=assignment.cut,
            straddling=assignment.straddling,
            merged=merged,
            quarantined=len(quarantine),
            images=count_sides(clean, assignment.sides),
            taught_sha256=taught,
            sealed_sha256=sealed,
            sha256=split_sha256(taught, sealed),
        )
        (aside / LEDGER).touch()
        (aside / RECORD).write_text(record.to_json(indent=2) + "\n", encoding="utf-8")
    return FrozenSplit(folder=out, record=record, root=root)


def merge_duplicates(dataset: Dataset, hashes: Hashes) -> tuple[Dataset, int]:
    """Enter the hash of each image, and join groups that hold an image of the same content.

    A joined group has the name that comes first. Returns how many groups lost their own name as well.
    What merely looks alike is the business of `train audit`.
    """
    leader: dict[str, str] = {}

    def find(group: str) -> str:
        while (above := leader.get(group, group)) != group:
            leader[group] = leader.get(above, above)
            group = above
        return group

    words = hashes.view(np.uint64)
    order = np.lexsort(words.T)
    alike = (words[order[1:]] == words[order[:-1]]).all(axis=1)
    for one, other in zip(order[1:][alike].tolist(), order[:-1][alike].tolist(), strict=True):
        mine, theirs = (find(dataset.samples[place].group) for place in (one, other))
        if mine != theirs:
            leader[max(mine, theirs)] = min(mine, theirs)
    samples = Samples.of(
        replace(sample, group=find(sample.group), sha256=content.tobytes().hex())
        for sample, content in zip(dataset.samples, hashes, strict=True)
    )
    return replace(dataset, samples=samples), len(leader)


def _read_sides(source: Source, column: str) -> list[str]:
    """What the column says, row by row."""
    place = locate(source.data_dir, source.manifest)
    if place.is_file() and column not in table_columns(place):
        raise UsageError(
            f"--side-column {column}: {place} has no such column, it has "
            f"{', '.join(table_columns(place))}"
        )
    # Read as if the side were the label: that is one cell a row, with the same conditions.
    columns = replace(source.columns, label=column)
    return [sys.intern(sample.label) for sample in read_rows(place, columns, source.where)]


def _look(
    dataset: Dataset, workers: int, advanced: Callable[[int], object]
) -> tuple[Hashes, dict[int, str]]:
    """Open every image: their hashes, and why some cannot be decoded."""

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


def _rows(dataset: Dataset, sides: Sequence[str], *wanted: str) -> Iterator[Row]:
    """The rows of some sides, as COLUMNS name their cells."""
    for sample, side in zip(dataset.samples, sides, strict=True):
        if side in wanted:
            others = (getattr(sample, name) for name in OPTIONAL)
            yield (sample.path, sample.label, sample.group, side, *others)


def _quarantine(dataset: Dataset, faults: Mapping[int, str]) -> Iterator[Row]:
    """Path, label and reason of every image that is on no side."""
    for path in dataset.unlabelled:
        yield path, "", "no label: it lies beside the class folders"
    for index, reason in faults.items():
        sample = dataset.samples[index]
        yield sample.path, sample.label, reason


def _sha256_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


@contextmanager
def _folder_aside(target: Path) -> Iterator[Path]:
    """A new folder beside `target` that takes its name when the block succeeds, and else vanishes."""
    aside = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        aside.mkdir(parents=True)
        yield aside
        aside.rename(target)
    except OSError as exc:
        raise RunError(
            f"cannot write {target}: {exc.strerror or exc}; nothing was left there"
        ) from exc
    finally:
        shutil.rmtree(aside, ignore_errors=True)
