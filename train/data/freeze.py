"""How a split is frozen: every image is opened once, hashed and decoded, then the sides are written.

Owns the order of the steps. Who stands where is decided in `train.data.split`; what the folder means,
and how it is read, in `train.data.frozen_split`; how it is written in `train.data.split_folder`.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset, locate, read_rows
from optimize.data.manifest import table_columns
from optimize.data.samples import Samples, take
from optimize.data.sealed import SEALED
from train.data.frozen_split import (
    TAUGHT,
    FrozenSplit,
    SplitRecord,
    count_sides,
    split_sha256,
)
from train.data.manifest import Source
from train.data.split import TEST, TRAIN, VALIDATION, Agreed, Plan, assign, check_sides
from train.data.split_folder import Hashes, look_at, refuse_existing, rows_of, written_split
from train.data.stream import require_every_class


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
    refuse_existing(out)
    dataset = source.read()
    agreed = _read_sides(source, plan.column) if isinstance(plan, Agreed) else []
    started(len(dataset.samples))
    hashes, faults = look_at(dataset, workers, advanced)
    usable = [index for index in range(len(hashes)) if index not in faults]
    clean = replace(dataset, samples=take(dataset.samples, usable))
    require_every_class(dataset, clean.labels)
    clean, merged = merge_duplicates(clean, hashes[usable])
    assignment = (
        check_sides(clean.samples, [agreed[index] for index in usable], plan.column)
        if isinstance(plan, Agreed)
        else assign(clean, plan)
    )
    root = dataset.root.resolve()
    sides = assignment.sides
    with written_split(out) as lists:
        lists.write(TAUGHT, rows_of(clean, sides, TRAIN, VALIDATION))
        lists.write(SEALED, rows_of(clean, sides, TEST))
        quarantined = lists.quarantine(dataset, faults)
        taught, sealed = lists.sha256(TAUGHT), lists.sha256(SEALED)
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
            quarantined=quarantined,
            images=count_sides(clean, sides),
            taught_sha256=taught,
            sealed_sha256=sealed,
            sha256=split_sha256(taught, sealed),
        )
        lists.finish(record)
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
