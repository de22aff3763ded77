"""Folders of labelled images, as calibration and validation read them.

A folder either holds `manifest.csv` with the columns `path` and `label` (and, where it likes, `sha256`,
which is then verified) or one sub-folder per class. Files are decoded and resized by the runtime's own
code. A file that cannot be used becomes a `Fault` beside the images: whoever reads counts it, nothing is
dropped in silence. Images come one at a time, so a validation set need not fit into memory.
"""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.preprocessing import fit
from optimize.errors import CalibrationError

MANIFEST = "manifest.csv"
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a folder, not yet looked at."""

    path: str
    """Relative to the folder, with forward slashes."""
    label: str
    """Class name; empty where nobody labelled it."""
    sha256: str
    """What the manifest says of the file's content; empty where it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """What a folder lists."""

    root: Path
    entries: tuple[Entry, ...]

    def pick(self, paths: Sequence[str]) -> Self:
        """The same folder with these entries only, in the order asked for."""
        by_path = {entry.path: entry for entry in self.entries}
        return replace(self, entries=tuple(by_path[path] for path in paths))

    def named(self) -> str:
        """Name and content hash, `validation sha256:0123456789ab`: what a record is filed under."""
        digest = hashlib.sha256()
        for entry in sorted(self.entries, key=lambda entry: entry.path):
            file = self.root / entry.path
            content = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "missing"
            digest.update(f"{content} {entry.label} {entry.path}\n".encode())
        return f"{self.root.resolve().name} sha256:{digest.hexdigest()[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A file that could be read, at the model's input size."""

    path: str
    label: str
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that could not be used, and why."""

    path: str
    reason: str


def open_folder(root: Path) -> Folder:
    """List a folder of labelled images; raises CalibrationError when there is nothing to list."""
    if not root.is_dir():
        raise CalibrationError(
            f"no folder at {root}: give one with {MANIFEST} or one sub-folder of images per class"
        )
    try:
        entries = _listed(root) if (root / MANIFEST).exists() else _found(root)
    except OSError as exc:
        raise CalibrationError(f"{exc.filename or root} cannot be read: {exc.strerror}") from exc
    if not entries:
        raise CalibrationError(
            f"{root} holds no images: expected {MANIFEST} or one sub-folder of images per class"
        )
    return Folder(root=root, entries=entries)


def read_images(folder: Folder, spec: InputSpec) -> Iterator[Image | Fault]:
    """Every entry in order, one at a time: an Image at the size of `spec`, or the Fault it has."""
    for entry in folder.entries:
        try:
            data = (folder.root / entry.path).read_bytes()
        except OSError as exc:
            yield Fault(path=entry.path, reason=exc.strerror or "unreadable")
            continue
        if entry.sha256 and hashlib.sha256(data).hexdigest() != entry.sha256:
            yield Fault(path=entry.path, reason="its sha256 differs from the manifest's")
            continue
        try:
            pixels = fit(decode(data), spec)
        except Undecodable as exc:
            yield Fault(path=entry.path, reason=str(exc))
            continue
        yield Image(path=entry.path, label=entry.label, pixels=pixels)


def _listed(root: Path) -> tuple[Entry, ...]:
    manifest = root / MANIFEST
    try:
        with manifest.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines, strict=True)
            missing = {"path", "label"} - set(reader.fieldnames or ())
            if missing:
                raise CalibrationError(
                    f"{manifest} lacks the column {', '.join(sorted(missing))}: "
                    "its first line must name at least path,label"
                )
            return tuple(_entry(manifest, reader.line_num, row) for row in reader)
    except (UnicodeDecodeError, csv.Error) as exc:
        raise CalibrationError(f"{manifest} is not a CSV file in UTF-8: {exc}") from exc


def _entry(manifest: Path, line: int, row: dict[str, str | None]) -> Entry:
    path = row["path"] or ""
    inside = manifest.parent.resolve()
    # A NUL is the one character that no path may hold.
    if not path or "\0" in path or not (inside / path).resolve().is_relative_to(inside):
        raise CalibrationError(
            f"{manifest} line {line}: path {path!r} must name a file within the folder"
        )
    return Entry(path=path, label=row["label"] or "", sha256=(row.get("sha256") or "").lower())


def _found(root: Path) -> tuple[Entry, ...]:
    files = sorted(
        file for file in root.rglob("*") if file.is_file() and file.suffix.lower() in _SUFFIXES
    )
    relative = [file.relative_to(root) for file in files]
    return tuple(
        Entry(path=path.as_posix(), label=path.parts[0] if len(path.parts) > 1 else "", sha256="")
        for path in relative
    )
