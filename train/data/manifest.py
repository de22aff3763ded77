"""What a data set is, and how one is read: a CSV manifest, or plain class folders.

Owns the rows: paths, labels, groups. It opens no image; `train.data.stream` does, and quarantines what
does not decode. Nothing is skipped here without a word: a row is taken, filtered by a condition that the
user wrote, or an error.
"""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from edge_runtime.errors import UsageError
from train.errors import DatasetError

MANIFEST = "manifest.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled image."""

    path: str
    """Relative to the data set's root, with forward slashes; absolute paths stay as they are."""
    label: str
    group: str
    """What must not be torn apart by a split: the part's serial number, or the file itself."""


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Labelled images under one root, in the order of the manifest or of their names."""

    root: Path
    samples: tuple[Sample, ...]

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Class names, sorted: the order of a model's outputs."""
        return tuple(sorted({sample.label for sample in self.samples}))

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Images of each class, in the order of `labels`."""
        counter = Counter(sample.label for sample in self.samples)
        return {label: counter[label] for label in self.labels}

    def file(self, index: int) -> Path:
        """Where the image of that index lies."""
        return self.root / self.samples[index].path

    def without(self, indices: Iterable[int]) -> "Dataset":
        """The data set less those samples."""
        left_out = frozenset(indices)
        kept = (sample for i, sample in enumerate(self.samples) if i not in left_out)
        return Dataset(root=self.root, samples=tuple(kept))


@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Names of the manifest's columns. Several may name the same column: a group of one's own path
    makes every image a part of its own."""

    path: str = "path"
    label: str = "label"
    group: str = "group"


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """`COLUMN=VALUE` or `COLUMN!=VALUE`: which rows are wanted."""

    column: str
    value: str
    equal: bool

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text form; raises UsageError that names the expected form."""
        column, sign, value = text.partition("=")
        equal = not column.endswith("!")
        column = column.removesuffix("!").strip()
        if not sign or not column:
            raise UsageError(f"--where {text!r}: expected COLUMN=VALUE or COLUMN!=VALUE")
        return cls(column=column, value=value.strip(), equal=equal)

    def holds(self, row: Mapping[str, str]) -> bool:
        """Whether the row is wanted."""
        return (row[self.column].strip() == self.value) == self.equal

    def __str__(self) -> str:
        return f"{self.column}{'=' if self.equal else '!='}{self.value}"


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
    """Read `root/manifest`, else `root/manifest.csv` if it exists, else the class folders of `root`.

    Raises DatasetError or UsageError with one line that says what is wrong and how to mend it.
    """
    if not root.is_dir():
        raise DatasetError(f"no folder {root}: --data-dir wants the folder that holds the images")
    file = root / (manifest or MANIFEST)
    if manifest is not None or file.is_file():
        return read_manifest(file, columns, where)
    if where or columns != Columns():
        raise UsageError(
            f"{root} has no {MANIFEST}, so --where and the column flags have nothing to work on: "
            "name the file with --manifest"
        )
    return read_class_folders(root)


def read_manifest(file: Path, columns: Columns, where: Sequence[Condition] = ()) -> Dataset:
    """Read a CSV manifest; paths in it are relative to its own folder."""
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.DictReader(stream, restval="")
            names = list(reader.fieldnames or ())
            _require_columns(file, names, columns, where)
            rows = list(reader)
    except OSError as exc:
        raise DatasetError(f"cannot read the manifest {file}: {exc.strerror}") from exc
    except (csv.Error, UnicodeDecodeError) as exc:
        raise DatasetError(f"{file} is not a CSV file in UTF-8: {exc}") from exc
    samples: list[Sample] = []
    seen: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        if not all(condition.holds(row) for condition in where):
            continue
        sample = Sample(
            path=row[columns.path].strip(),
            label=row[columns.label].strip(),
            group=row[columns.group].strip(),
        )
        if not sample.path or not sample.label or not sample.group:
            raise DatasetError(
                f"{file} row {number}: path, label and group must not be empty, got "
                f"{sample.path!r}, {sample.label!r}, {sample.group!r}; fill it in or delete the row"
            )
        if sample.path in seen:
            raise DatasetError(
                f"{file} rows {seen[sample.path]} and {number} both name {sample.path}: delete one"
            )
        seen[sample.path] = number
        samples.append(sample)
    if not samples:
        conditions = " and ".join(map(str, where))
        raise DatasetError(
            f"{file} has no rows{f' where {conditions}' if where else ''} (of {len(rows)}): "
            "check the conditions and the file"
        )
    dataset = Dataset(root=file.parent, samples=tuple(samples))
    _require_files(dataset, file)
    return dataset


def read_class_folders(root: Path) -> Dataset:
    """Read `root/LABEL/**`: the label is the folder's name, each file a group of its own.

    Every file that is not hidden counts as an image; what is none is quarantined at decoding.
    """
    samples = []
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        files = [
            file.relative_to(root).as_posix()
            for file in sorted(folder.rglob("*"))
            if file.is_file() and not file.name.startswith(".")
        ]
        if not files:
            raise DatasetError(f"class folder {folder} is empty: add images to it or remove it")
        samples += [Sample(path=file, label=folder.name, group=file) for file in files]
    if not samples:
        raise DatasetError(
            f"{root} has neither a {MANIFEST} nor class folders (one folder of images per class)"
        )
    return Dataset(root=root, samples=tuple(samples))


def _require_columns(
    file: Path, names: Sequence[str], columns: Columns, where: Sequence[Condition]
) -> None:
    wanted = {
        columns.path: "--path-column",
        columns.label: "--label-column",
        columns.group: "--group-column",
    } | {condition.column: "--where" for condition in where}
    for column, flag in wanted.items():
        if column not in names:
            raise DatasetError(
                f"{file} has no column {column!r}, it has {', '.join(names) or 'none'}: "
                f"name the right one with {flag}"
            )


def _require_files(dataset: Dataset, manifest: Path) -> None:
    missing = [s.path for i, s in enumerate(dataset.samples) if not dataset.file(i).is_file()]
    if missing:
        raise DatasetError(
            f"{manifest} names {len(missing)} of {len(dataset.samples)} files that do not exist, "
            f"first {', '.join(missing[:3])}: paths are relative to {dataset.root}"
        )
