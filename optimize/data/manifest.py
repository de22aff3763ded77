"""The rows of a manifest, a CSV or Parquet file, one at a time and in flat memory.

Owns what a labelled image is said to be, the names of the columns, and what is wrong with a table. Opens
no image and does not ask whether its file is there (`dataset` does). Nothing is skipped without
a word: a row is taken, filtered by a condition that the user wrote, or an error.
"""

import csv
import posixpath
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from edge_runtime.errors import UsageError
from optimize.errors import DatasetError

PARQUET = ".parquet"
OPTIONAL = ("line", "station", "captured_at", "generation", "sha256")
"""Columns that a manifest may have under these names."""
SHARD, KEY = "shard", "key"
"""Columns that stand in for the path where the images lie in tar shards."""
_BATCH = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One image and what is said of it, not yet looked at."""

    path: str
    """Relative to the data set's root, with forward slashes; SHARD.tar/KEY.jpg leads into a shard."""
    label: str
    """Class name; empty where nobody labelled it."""
    group: str
    """What must not be torn apart by a split: the part's serial number, or the file itself."""
    line: str = ""
    station: str = ""
    captured_at: str = ""
    """RFC 3339, as the manifest writes it."""
    generation: str = ""
    """Of the sensor, such as gen3."""
    sha256: str = ""
    """Of the file's content, in lower case; empty where the manifest says nothing."""


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

    def holds(self, cell: str) -> bool:
        """Whether a row with this cell is wanted."""
        return (cell.strip() == self.value) == self.equal

    def __str__(self) -> str:
        return f"{self.column}{'=' if self.equal else '!='}{self.value}"


def read_table(
    file: Path,
    columns: Columns | None = None,
    where: Sequence[Condition] = (),
    *,
    complete: bool = False,
) -> Iterator[Sample]:
    """The samples of a CSV or Parquet file, in its order; 8 bytes a row are kept to find duplicates.

    `complete` asks for a label and a group in every row; without it either may be missing, and a sample
    without a group is one of its own. Raises DatasetError; a path named twice shows after the last row.
    """
    columns = columns or Columns()
    hashes = array("q")
    for _, sample in _numbered(file, columns, where, complete=complete):
        hashes.append(hash(sample.path))
        yield sample
    repeated = _repeated(hashes)
    if not repeated:
        return
    seen: dict[str, int] = {}
    for number, sample in _numbered(file, columns, where, complete=complete):
        if hash(sample.path) not in repeated:
            continue
        if sample.path in seen:
            raise DatasetError(
                f"{file} rows {seen[sample.path]} and {number} both name {sample.path}: delete one"
            )
        seen[sample.path] = number


def table_columns(file: Path) -> tuple[str, ...]:
    """The names in the head of a CSV or Parquet file; raises DatasetError."""
    with _open_table(file) as table:
        return tuple(table.names)


def inner_path(path: str) -> str | None:
    """The path in its plainest form if it leads to a file within the folder, else None."""
    # A NUL is the one character that no path may hold.
    if "\0" in path or path.startswith("/") or ".." in path.split("/"):
        return None
    plain = posixpath.normpath(path) if path else "."
    return None if plain == "." else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    names: Sequence[str]
    first: int
    """What a person calls the first row: a CSV file's head is its row 1."""
    records: Iterable[Sequence[str]]


@contextmanager
def _open_table(file: Path) -> Iterator[_Table]:
    """The table as text; raises DatasetError for whatever is wrong with the file as such."""
    try:
        if file.suffix == PARQUET:
            with file.open("rb") as data:
                yield _parquet_table(file, data)
        else:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                reader = csv.reader(stream, strict=True)
                yield _Table(names=next(reader, []), first=2, records=reader)
    except OSError as exc:
        # What pyarrow finds wrong with the content has no errno.
        what = "is damaged or is not a Parquet file" if not exc.errno else "cannot be read"
        reason = exc.strerror or str(exc).partition("\n")[0]
        raise DatasetError(f"the manifest {file} {what}: {reason}") from exc
    except (csv.Error, UnicodeDecodeError) as exc:
        raise DatasetError(
            f"{file} is not a CSV file in UTF-8: {exc}; save it anew as CSV in UTF-8"
        ) from exc


def _parquet_table(file: Path, data: BinaryIO) -> _Table:
    try:
        # Not at the top: only who reads Parquet needs the library.
        from pyarrow import ArrowException, parquet
    except ImportError as exc:
        raise DatasetError(
            f"{file}: reading Parquet needs pyarrow: pip install 'edge-inspect[train]', "
            "or give a CSV file"
        ) from exc
    try:
        table = parquet.ParquetFile(data)
    except ArrowException as exc:
        raise OSError(str(exc)) from exc

    def records() -> Iterator[Sequence[str]]:
        try:
            for batch in table.iter_batches(batch_size=_BATCH):
                yield from zip(*(map(_text, column.to_pylist()) for column in batch), strict=True)
        except ArrowException as exc:
            raise OSError(str(exc)) from exc

    return _Table(names=table.schema_arrow.names, first=1, records=records())


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else str(value)


def _numbered(
    file: Path, columns: Columns, where: Sequence[Condition], *, complete: bool
) -> Iterator[tuple[int, Sample]]:
    total = kept = 0
    with _open_table(file) as table:
        place = {name: position for position, name in enumerate(table.names)}
        path_columns = _path_columns(columns, place)
        _require_columns(file, place, columns, path_columns, where, complete=complete)
        has_group = columns.group in place
        optional = [name for name in OPTIONAL if name in place]
        for number, record in enumerate(table.records, start=table.first):
            if not record:  # a blank line
                continue
            total += 1
            cells = [*record, *[""] * (len(place) - len(record))]
            if not all(condition.holds(cells[place[condition.column]]) for condition in where):
                continue
            path = "/".join(cells[place[name]].strip() for name in path_columns)
            label = cells[place[columns.label]].strip()
            group = cells[place[columns.group]].strip() if has_group else ""
            if complete and not (path and label and group):
                raise DatasetError(
                    f"{file} row {number}: path, label and group must not be empty, got "
                    f"{path!r}, {label!r}, {group!r}; fill it in or delete the row"
                )
            plain = _plain(file, number, path)
            others = {name: cells[place[name]].strip() for name in optional}
            if "sha256" in others:
                others["sha256"] = others["sha256"].lower()
            kept += 1
            # Without a group, or where the path is its group, an image is a part of its own.
            group = plain if group in {"", path} else group
            yield number, Sample(path=plain, label=label, group=group, **others)
    if not kept:
        conditions = " and ".join(map(str, where))
        raise DatasetError(
            f"{file} holds no images: it has no rows"
            f"{f' where {conditions}' if where else ''} (of {total}); "
            "check the conditions and the file"
        )


def _path_columns(columns: Columns, place: Mapping[str, int]) -> tuple[str, ...]:
    if columns.path not in place and SHARD in place and KEY in place:
        return (SHARD, KEY)
    return (columns.path,)


def _require_columns(
    file: Path,
    place: Mapping[str, int],
    columns: Columns,
    path_columns: Sequence[str],
    where: Sequence[Condition],
    *,
    complete: bool,
) -> None:
    wanted = dict.fromkeys(path_columns, "--path-column") | {columns.label: "--label-column"}
    if complete or columns.group != Columns().group:
        wanted[columns.group] = "--group-column"
    wanted |= {condition.column: "--where" for condition in where}
    for column, flag in wanted.items():
        if column not in place:
            raise DatasetError(
                f"{file} has no column {column!r}, it has {', '.join(place) or 'none'}: "
                f"name the right one with {flag}"
            )


def _plain(file: Path, number: int, path: str) -> str:
    if "\\" in path:
        raise DatasetError(
            f"{file} row {number}: path {path!r} has backslashes: write paths with forward slashes"
        )
    plain = inner_path(path)
    if plain is None:
        raise DatasetError(
            f"{file} row {number}: path {path!r} must name a file within the folder of the manifest: "
            "write paths relative to it, without '..', or put the manifest above all images"
        )
    return plain


def _repeated(hashes: "array[int]") -> frozenset[int]:
    ordered = np.sort(np.frombuffer(hashes, np.int64))
    return frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
