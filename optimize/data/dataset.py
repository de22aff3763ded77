"""A labelled data set: a manifest, tar shards or class folders, read by whoever needs labelled images.

Owns the choice between the three, class folders, and access to an image's bytes wherever they lie. What
a table or a shard may hold is the business of `manifest` and `shards` beside this module; pixels that of
`images`; what training needs beyond is asked for there.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import UsageError
from optimize.data import shards
from optimize.data.manifest import Columns, Condition, Sample, read_table
from optimize.data.samples import Samples, column, take
from optimize.errors import DatasetError

MANIFEST = "manifest.csv"
MANIFESTS = (MANIFEST, "manifest.parquet")
"""What is looked for in a folder, in this order."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Images under one root, in the order of the manifest, or of their names."""

    root: Path
    samples: Sequence[Sample]
    """Not to be gone through where a `column` will do: there may be millions."""
    unlabelled: tuple[str, ...] = ()
    """Paths of images that were left out for want of a label."""

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names, sorted: the order of a model's outputs."""
        return tuple(sorted(set(self.column("label"))))

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Images of each class, in the order of `labels`."""
        counter = Counter(self.column("label"))
        return {label: counter[label] for label in self.labels}

    @cached_property
    def classes(self) -> npt.NDArray[np.int64]:
        """(n,) the label of each sample as its position in `labels`."""
        positions = {label: position for position, label in enumerate(self.labels)}
        found = map(positions.__getitem__, self.column("label"))
        return np.fromiter(found, np.int64, len(self.samples))

    def column(self, name: str) -> Iterator[str]:
        """One field of every sample, such as its group, in their order."""
        return column(self.samples, name)

    def file(self, index: int) -> Path:
        """Where the image of that index lies; within a shard, the path goes on behind the shard."""
        return self.root / self.samples[index].path

    def read(self, index: int) -> bytes:
        """The encoded image, from its file or its shard; raises OSError, or DatasetError for a shard."""
        return read_encoded(self.root, self.samples[index].path)

    def at(self, indices: Iterable[int]) -> Self:
        """The data set of those samples alone, in the order asked for."""
        return replace(self, samples=take(self.samples, indices))

    def without(self, indices: Iterable[int]) -> Self:
        """The data set less those samples."""
        left_out = frozenset(indices)
        if not left_out:
            return self
        return self.at(index for index in range(len(self.samples)) if index not in left_out)

    def pick(self, paths: Sequence[str]) -> Self:
        """The same data set with these samples only, in the order asked for."""
        wanted = frozenset(paths)
        places = {path: i for i, path in enumerate(self.column("path")) if path in wanted}
        return self.at(places[path] for path in paths)

    def named(self) -> str:
        """Name and content hash, `validation sha256:0123456789ab`: what a record is filed under."""
        digest = hashlib.sha256()
        for sample in sorted(self.samples, key=lambda sample: sample.path):
            try:
                content = hashlib.sha256(read_encoded(self.root, sample.path)).hexdigest()
            except FileNotFoundError:
                content = "missing"
            digest.update(f"{content} {sample.label} {sample.path}\n".encode())
        return f"{self.root.resolve().name} sha256:{digest.hexdigest()[:12]}"


def open_dataset(
    place: Path, columns: Columns | None = None, where: Sequence[Condition] = ()
) -> Dataset:
    """All samples of a folder or a manifest, labelled or not, their files there or not.

    Raises DatasetError when there is nothing to list.
    """
    place = locate(place)
    return Dataset(root=root_of(place), samples=Samples.of(read_rows(place, columns, where)))


def locate(place: Path, manifest: str | None = None) -> Path:
    """What lists the images: the manifest that was named or found in the folder, else the folder."""
    if manifest is not None:
        return place / manifest
    return next((place / name for name in MANIFESTS if (place / name).is_file()), place)


def root_of(place: Path) -> Path:
    """The folder that the paths of a place's samples are relative to."""
    return place if place.is_dir() else place.parent


def read_rows(
    place: Path,
    columns: Columns | None = None,
    where: Sequence[Condition] = (),
    *,
    complete: bool = False,
) -> Iterator[Sample]:
    """The samples of a manifest, a shard, a folder of shards or class folders, one at a time.

    `complete` asks for a label and a group for each of them. Raises DatasetError, or UsageError for
    columns and conditions where there is no table.
    """
    if place.is_file() and place.suffix != shards.SUFFIX:
        yield from read_table(place, columns, where, complete=complete)
        return
    if where or columns not in {None, Columns()}:
        raise UsageError(
            f"{place} has no {MANIFEST}, so --where and the column flags have nothing to work on: "
            "name the file with --manifest"
        )
    if not place.exists():
        raise DatasetError(
            f"no folder at {place}: give one with {MANIFEST}, tar shards, or a sub-folder per class"
        )
    found = False
    listed = shards_of(place)
    parts = (
        [shards.read_shard(shard, complete=complete) for shard in listed]
        if listed
        else [_class_folders(place)]
    )
    for part in parts:
        for sample in part:
            found = True
            yield sample
    if not found:
        raise DatasetError(
            f"{place} holds no images: it has neither a {MANIFEST} nor class folders (one folder of "
            "images per class), nor samples in tar shards"
        )


def shards_of(place: Path) -> list[Path]:
    """The tar shards that a place consists of."""
    if place.is_file():
        return [place] if place.suffix == shards.SUFFIX else []
    return sorted(place.glob(f"*{shards.SUFFIX}"))


def empty_class_folders(root: Path) -> list[Path]:
    """Class folders without any file."""
    return [
        folder
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".") and not any(_files(folder))
    ]


def read_encoded(root: Path, path: str) -> bytes:
    """The bytes of the image at a sample's path; raises OSError, or DatasetError for a bad shard."""
    found = shards.find_shard(root, path)
    return shards.read_member(*found) if found else (root / path).read_bytes()


def has_image(root: Path, path: str) -> bool:
    """Whether there is a file, or a member of a shard, at a sample's path."""
    found = shards.find_shard(root, path)
    return shards.has_member(*found) if found else (root / path).is_file()


def _class_folders(root: Path) -> Iterator[Sample]:
    """Every file that is not hidden, labelled by its folder; what is no image shows when it is decoded.

    Of the files beside the class folders, images alone count, and have no label.
    """
    try:
        for file in _files(root):
            path = Path(file).relative_to(root).as_posix()
            folder, slash, _ = path.partition("/")
            if slash or Path(path).suffix.lower() in shards.IMAGE_SUFFIXES:
                yield Sample(path=path, label=folder if slash else "", group=path)
    except OSError as exc:
        raise DatasetError(f"{exc.filename or root} cannot be read: {exc.strerror}") from exc


def _files(folder: Path | str) -> Iterator[str]:
    """Files below the folder, ordered by name; only the names of folders on the way are kept."""
    with os.scandir(folder) as entries:
        found = sorted(
            (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
        )
    for name, is_folder in found:
        path = os.path.join(folder, name)  # noqa: PTH118 - a Path for each of a million names is slow
        if is_folder:
            yield from _files(path)
        else:
            yield path
