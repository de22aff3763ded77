"""An audit's table as a person corrected it, applied to the rows of the data set it was made of.

Owns what a corrected `audit.csv` may say. Rows may come in any order; they belong to the data where
path, label, group and, if files are looked at, their content are what was audited. Keeps 40 bytes a
row, and text only of rows that change something.
"""

import csv
import hashlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from optimize.data.dataset import read_encoded
from optimize.data.manifest import Sample
from train.data.audit import COLUMNS, OK, QUARANTINED
from train.errors import DatasetError

_YES, _NO = "yes", ("", "no")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one image."""

    group: str
    """After merging."""
    label: str
    """As corrected; the given one where it was not."""
    dropped: str = ""
    """Why the image is left out; empty where it stays."""


class Corrections:
    """A corrected table; `apply` every sample of the data set, then `finish`."""

    name_for_out = "corrected"

    def __init__(self, table: Path) -> None:
        """Read the table; raises DatasetError for what no audit wrote and no person may write."""
        self._table = table
        self._changes: dict[str, Change] = {}
        self._labels: set[str] = set()
        self._applied = 0
        self.relabelled = self.regrouped = self.excluded = self.quarantined = 0
        keys, contents = array("q"), bytearray()
        corrected: dict[str, int] = {}
        for number, row in _rows(table):
            before = row["group_before"] or row["group"]
            keys.append(hash((row["path"], row["label"], before)))
            contents += _content(table, number, row)
            self._labels.add(row["label"])
            label = row["corrected_label"].strip()
            if label:
                corrected.setdefault(label, number)
            change = Change(
                group=row["group"],
                label=label or row["label"],
                dropped=_dropped(table, number, row),
            )
            if change != Change(group=before, label=row["label"]):
                self._changes[row["path"]] = change
        self._require_known(corrected)
        order = np.argsort(np.frombuffer(keys, np.int64), kind="stable")
        self._keys = np.frombuffer(keys, np.int64)[order]
        self._contents = np.frombuffer(contents, np.uint8).reshape(-1, 32)[order]

    def apply(self, sample: Sample, root: Path, *, look: bool) -> Sample | None:
        """The sample as corrected, None where it is left out.

        `look` compares the file with the one that was audited. Raises DatasetError for a sample that was
        not audited as it is now.
        """
        place = self._place(sample)
        content = self._contents[place].tobytes()
        change = self._changes.get(sample.path)
        self._applied += 1
        if change is not None and change.dropped:
            self.quarantined += change.dropped == QUARANTINED
            self.excluded += change.dropped != QUARANTINED
            return None
        if look and _sha256(root, sample.path) not in {content, None}:
            raise DatasetError(
                f"{root / sample.path} is not the file that {self._table} was made of: "
                "its content changed; audit the data anew"
            )
        sample = replace(sample, sha256=content.hex())
        if change is None:
            return sample
        self.relabelled += change.label != sample.label
        self.regrouped += change.group != sample.group
        return replace(sample, label=change.label, group=change.group)

    def finish(self) -> None:
        """Raise DatasetError when rows of the table were not among the samples, or none of them stay."""
        if self._applied != len(self._keys):
            raise DatasetError(
                f"{self._table} has {len(self._keys)} images, the data {self._applied}: it was made of "
                "other data; give the same folder, --where and columns as to train audit"
            )

        if self._applied == self.excluded + self.quarantined:
            raise DatasetError(
                f"{self._table} leaves no image of {self._applied}: empty the column exclude where an "
                "image should stay"
            )

    def summary(self) -> str:
        """One line."""
        return (
            f"{self._table.name}: {self.relabelled} labels corrected, "
            f"{self.regrouped} images regrouped, left out {self.quarantined} quarantined and "
            f"{self.excluded} excluded"
        )

    def _place(self, sample: Sample) -> int:
        key = hash((sample.path, sample.label, sample.group))
        place = int(np.searchsorted(self._keys, key))
        if place == len(self._keys) or self._keys[place] != key:
            raise DatasetError(
                f"{self._table} has no row for {sample.path} with label {sample.label!r} and group "
                f"{sample.group!r}: it was made of other data, or more than its last two columns was "
                "changed; audit the data anew"
            )
        return place

    def _require_known(self, corrected: Mapping[str, int]) -> None:
        for label, number in corrected.items():
            if label not in self._labels:
                raise DatasetError(
                    f"{self._table} row {number}: corrected_label {label!r} is none of the data's "
                    f"classes ({', '.join(sorted(self._labels))}): mend its spelling, or exclude the row"
                )


def _rows(table: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows with the numbers that a person calls them by; the head is row 1."""
    try:
        with table.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            head = tuple(next(reader, ()))
            missing = [name for name in COLUMNS if name not in head]
            if missing:
                raise DatasetError(
                    f"{table} has no column {', '.join(missing)}: give the audit.csv that train audit "
                    "wrote, with its columns as they were"
                )
            for number, cells in enumerate(reader, 2):
                if len(cells) != len(head):
                    raise DatasetError(
                        f"{table} row {number} has {len(cells)} cells, expected {len(head)}: "
                        "save it with the same columns"
                    )
                yield number, dict(zip(head, cells, strict=True))
    except OSError as exc:
        raise DatasetError(f"--audit {table} cannot be read: {exc.strerror}") from exc
    except (csv.Error, UnicodeDecodeError) as exc:
        raise DatasetError(
            f"{table} is not a CSV file in UTF-8: {exc}; save it anew as CSV in UTF-8"
        ) from exc


def _content(table: Path, number: int, row: Mapping[str, str]) -> bytes:
    try:
        content = bytes.fromhex(row["sha256"])
    except ValueError:
        content = b""
    if len(content) != 32:
        raise DatasetError(
            f"{table} row {number}: sha256 {row['sha256']!r} is not 64 hexadecimal digits: "
            "leave that column as train audit wrote it"
        )
    return content


def _sha256(root: Path, path: str) -> bytes | None:
    """Of the file as it is now; None where there is none, which `Presence` will say."""
    try:
        return hashlib.sha256(read_encoded(root, path)).digest()
    except OSError:
        return None


def _dropped(table: Path, number: int, row: Mapping[str, str]) -> str:
    """Why the row's image is left out, or nothing."""
    if row["status"] not in {OK, QUARANTINED}:
        raise DatasetError(
            f"{table} row {number}: status {row['status']!r}, expected {OK} or {QUARANTINED}"
        )
    exclude = row["exclude"].strip().lower()
    if exclude not in {_YES, *_NO}:
        raise DatasetError(
            f"{table} row {number}: exclude {row['exclude']!r}, expected {_YES} or nothing"
        )
    if row["status"] == QUARANTINED:
        return QUARANTINED
    return "excluded" if exclude == _YES else ""
