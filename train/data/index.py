"""One manifest for a data set of any layout, written row by row in flat memory.

Owns the columns that are written and the counts that a person wants to see beside them. What a row is,
and what is wrong with one, is decided where it is read: `optimize.data.dataset`. The file is written
aside and renamed when the last row has passed.
"""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from edge_runtime.errors import UsageError
from edge_runtime.samples.package import COLUMNS as PACKAGED
from optimize.data.dataset import (
    empty_class_folders,
    has_image,
    locate,
    read_rows,
    root_of,
    shards_of,
)
from optimize.data.manifest import (
    KEY,
    OPTIONAL,
    PARQUET,
    SHARD,
    Columns,
    Condition,
    Sample,
    table_columns,
)
from train.data.corrections import Corrections
from train.data.manifest import Presence
from train.data.returned_labels import ReturnedLabels
from train.written_aside import written_aside

_BATCH = 10_000
"""Rows that are held at a time; they become one row group of a Parquet file."""
Row = tuple[str, ...]


@dataclass(kw_only=True)
class ClassCount:
    """What was seen of one class."""

    images: int = 0
    group: str = ""
    """The first group."""
    several_groups: bool = False

    def add(self, group: str) -> None:
        """Count one image more."""
        self.several_groups |= bool(self.images) and group != self.group
        self.group = self.group or group
        self.images += 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """What was written, and what is doubtful about it."""

    out: Path
    classes: Mapping[str, ClassCount]
    ungrouped: int
    """Images that are a group of their own, since nothing groups them."""
    empty: Sequence[Path]
    """Class folders without images."""
    left_out: Sequence[str]
    """Columns of the source that a manifest has no place for."""

    def summary(self) -> str:
        """One line."""
        counts = " ".join(
            f"{label or '(no label)'}={count.images}" for label, count in self.classes.items()
        )
        return f"{self.out}: {sum(c.images for c in self.classes.values())} images ({counts})"

    def concerns(self) -> list[str]:
        """Sentences on what training will not be able to use as it is."""
        found = [
            f"class folder {folder} is empty: no images of this class" for folder in self.empty
        ]
        for label, count in self.classes.items():
            if not label:
                found.append(f"{count.images} images have no label: train fit will refuse them")
            elif count.images == 1:
                found.append(
                    f"class {label!r} has one image: a split needs two groups of each class"
                )
            elif not count.several_groups:
                found.append(
                    f"class {label!r} has all its {count.images} images in one group "
                    f"({count.group}): a split needs two groups of each class"
                )
        if self.ungrouped:
            found.append(
                f"{self.ungrouped} images have no group and became one of their own: "
                "a split may part images of one module"
            )
        if self.left_out:
            found.append(f"columns left out: {', '.join(self.left_out)}")
        return found


def write_index(
    source: Path,
    out: Path,
    *,
    columns: Columns | None = None,
    where: Sequence[Condition] = (),
    look: bool = True,
    changes: Corrections | ReturnedLabels | None = None,
    progress: Callable[[int], object] = lambda _rows: None,
) -> Indexed:
    """Write the manifest of a folder, table or shard to `out` (.csv or .parquet).

    Its paths are relative to `out`'s folder. `look` asks that every image be there. `changes` are
    applied to every row; they must be of this very data. Raises DatasetError for what cannot be read,
    UsageError when `out` cannot be the manifest of these images, RunError when it cannot be written;
    whatever was at `out` then stays.
    """
    place = locate(source)
    if out.exists() and place.exists() and out.samefile(place):
        if place == source:
            raise UsageError(f"--out {out} is what is to be indexed: name another file")
        if changes is not None:
            raise UsageError(
                f"--out {out} is the manifest that is to be {changes.name_for_out}: name another file, "
                f"such as {out.with_stem(changes.name_for_out)}"
            )
        place = source  # the folder's manifest is an earlier index, about to be renewed
    root = root_of(place)
    below = _below(root, out)
    presence = Presence(root)
    samples = read_rows(place, columns, where)
    classes: dict[str, ClassCount] = {}
    ungrouped = 0
    # The columns follow the layout: a table of one has all its images in shards, or none.
    in_shards = _in_shards(place, columns)
    names = ((SHARD, KEY) if in_shards else ("path",)) + ("label", "group", *OPTIONAL)
    with written_aside(out) as aside, _writer(aside, out.suffix, names) as write:
        batch: list[Row] = []
        for sample in presence.watch(samples) if look else samples:
            if changes is not None:
                changed = changes.apply(sample, root, look=look)
                if changed is None:
                    continue
                sample = _led_down(changed, below, root)
            classes.setdefault(sample.label, ClassCount()).add(sample.group)
            ungrouped += sample.group == sample.path
            batch.append(_row(sample, below, in_shards=in_shards))
            if len(batch) == _BATCH:
                write(batch)
                progress(len(batch))
                batch = []
        if batch:
            write(batch)
            progress(len(batch))
        presence.require(place)
        if changes is not None:
            changes.finish()
    return Indexed(
        out=out,
        classes=dict(sorted(classes.items())),
        ungrouped=ungrouped,
        empty=empty_class_folders(place) if place.is_dir() and not shards_of(place) else [],
        left_out=_left_out(place, columns),
    )


def is_package(source: Path) -> bool:
    """Whether this is, or lists, a labelling package of `edge-inspect samples export`."""
    place = locate(source)
    return place.suffix == ".csv" and place.is_file() and set(PACKAGED) <= set(table_columns(place))


def _below(root: Path, out: Path) -> str:
    """The way from the manifest's folder down to the images', with a slash at its end."""
    if out.suffix not in {PARQUET, ".csv"}:
        raise UsageError(f"--out {out}: expected a name that ends in {PARQUET} or .csv")
    try:
        below = root.resolve().relative_to(out.parent.resolve()).as_posix()
    except ValueError as exc:
        raise UsageError(
            f"--out {out}: the paths in a manifest are relative to its folder and lead downwards; "
            f"put it into {root} or a folder above"
        ) from exc
    return "" if below == "." else f"{below}/"


def _led_down(sample: Sample, below: str, root: Path) -> Sample:
    """With the group's path led down as `_row` leads the image's, where it is another image that it was
    merged with."""
    if below and sample.group != sample.path and has_image(root, sample.group):
        return replace(sample, group=below + sample.group)
    return sample


def _in_shards(place: Path, columns: Columns | None) -> bool:
    if shards_of(place):
        return True
    if not place.is_file():
        return False
    names = table_columns(place)
    return (columns or Columns()).path not in names and {SHARD, KEY} <= set(names)


def _left_out(place: Path, columns: Columns | None) -> list[str]:
    if not place.is_file() or shards_of(place):
        return []
    columns = columns or Columns()
    known = {columns.path, columns.label, columns.group, SHARD, KEY, *OPTIONAL}
    if is_package(place):
        known |= set(PACKAGED)
    return [name for name in table_columns(place) if name not in known]


def _row(sample: Sample, below: str, *, in_shards: bool) -> Row:
    path = below + sample.path
    group = path if sample.group == sample.path else sample.group
    where: Row = (path,)
    if in_shards:
        shard, _, key = path.partition(".tar/")
        where = (f"{shard}.tar", key)
    return (
        *where,
        sample.label,
        group,
        sample.line,
        sample.station,
        sample.captured_at,
        sample.generation,
        sample.sha256,
    )


@contextmanager
def _writer(
    file: Path, suffix: str, names: Sequence[str]
) -> Iterator[Callable[[Sequence[Row]], object]]:
    if suffix == PARQUET:
        schema = pa.schema([(name, pa.string()) for name in names])
        with parquet.ParquetWriter(file, schema) as table:
            yield lambda rows: table.write_batch(
                pa.record_batch([pa.array(column) for column in zip(*rows, strict=True)], schema)
            )
        return
    with file.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(names)
        yield writer.writerows
