"""What training asks of a data set beyond `optimize.data`: each image labelled, grouped and there.

Owns where a run's labelled images are (`Source`) and those demands. Opens no image; `train.data.stream`
does, and quarantines what does not decode.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from optimize.data.dataset import (
    MANIFEST,
    Dataset,
    empty_class_folders,
    has_image,
    locate,
    read_rows,
    root_of,
)
from optimize.data.manifest import Columns, Condition, Sample
from optimize.data.samples import Samples
from train.errors import DatasetError

_NAMED = 3
"""Files that a message names; the rest are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the labelled images are and which of them are meant."""

    data_dir: Path
    manifest: str | None = None
    columns: Columns = field(default_factory=Columns)
    where: tuple[Condition, ...] = ()

    @property
    def root(self) -> Path:
        """What the paths of the samples are relative to."""
        return (self.data_dir / (self.manifest or MANIFEST)).parent

    def read(self) -> Dataset:
        """Read the rows; raises DatasetError or UsageError."""
        return read_dataset(self.data_dir, self.manifest, self.columns, self.where)


def read_dataset(
    root: Path, manifest: str | None, columns: Columns, where: Sequence[Condition]
) -> Dataset:
    """Read `root/manifest`, else the manifest, the tar shards or the class folders of `root`.

    Raises DatasetError or UsageError with one line that says what is wrong and how to mend it.
    """
    if not root.is_dir():
        raise DatasetError(f"no folder {root}: --data-dir wants the folder that holds the images")
    return _read(locate(root, manifest), columns, where)


def read_manifest(file: Path, columns: Columns, where: Sequence[Condition] = ()) -> Dataset:
    """Read a CSV or Parquet manifest; paths in it are relative to its own folder."""
    return _read(file, columns, where)


def read_class_folders(root: Path) -> Dataset:
    """Read `root/LABEL/**`: the label is the folder's name, each file a group of its own."""
    return _read(root, Columns(), ())


class Presence:
    """Counts samples without an image while they pass by."""

    def __init__(self, root: Path) -> None:
        self.missing = 0
        self._root = root
        self._seen = 0
        self._first: list[str] = []

    def watch(self, samples: Iterable[Sample]) -> Iterator[Sample]:
        """The same samples, each looked for."""
        for sample in samples:
            self._seen += 1
            if not has_image(self._root, sample.path):
                self.missing += 1
                self._first += [sample.path][: _NAMED - len(self._first)]
            yield sample

    def require(self, place: Path) -> None:
        """Raise DatasetError when an image was missing."""
        if self.missing:
            raise DatasetError(
                f"{place} names {self.missing} of {self._seen} files that do not exist, "
                f"first {', '.join(self._first)}: paths are relative to {self._root}"
            )


def _read(place: Path, columns: Columns, where: Sequence[Condition]) -> Dataset:
    if place.is_dir():
        for folder in empty_class_folders(place):
            raise DatasetError(f"class folder {folder} is empty: add images to it or remove it")
    presence = Presence(root_of(place))
    unlabelled: list[str] = []

    def labelled() -> Iterator[Sample]:
        for sample in presence.watch(read_rows(place, columns, where, complete=True)):
            if sample.label:
                yield sample
            else:
                unlabelled.append(sample.path)

    samples = Samples.of(labelled())
    presence.require(place)
    if not samples:
        raise DatasetError(
            f"{place} has {len(unlabelled)} images, none in a class folder: sort them into one folder "
            "per class, or name their manifest with --manifest"
        )
    return Dataset(root=root_of(place), samples=samples, unlabelled=tuple(unlabelled))
