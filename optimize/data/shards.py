"""Tar shards in the form of WebDataset: KEY.jpg beside KEY.cls or KEY.json, members of a key in a row.

Owns how a shard is listed and how one member of it is read. A shard is read as it lies, nothing is
unpacked; only uncompressed ones can be, since a member is found by its offset. Listing is flat in
memory; reading keeps 24 bytes a member. Safe from many threads.
"""

import json
import os
import tarfile
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from optimize.data.manifest import OPTIONAL, Sample, inner_path
from optimize.errors import DatasetError

SUFFIX = ".tar"
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff"})
_LARGEST_NOTE = 1 << 20
"""Bytes of a .cls or .json member; what is larger is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Member:
    name: str
    offset: int
    """Of the content within the shard, bytes."""
    size: int

    @property
    def key(self) -> str:
        """What the members of one sample share: the name up to the first dot of its last part."""
        folder, slash, name = self.name.rpartition("/")
        return folder + slash + name.partition(".")[0]

    @property
    def suffix(self) -> str:
        return self.name[len(self.key) :].lower()


def read_shard(shard: Path, *, complete: bool = False) -> Iterator[Sample]:
    """The samples of one shard in its order, their paths relative to the shard's folder.

    The label is what KEY.cls says, else "label" in KEY.json, which may also name group, line, station,
    captured_at, generation and sha256. `complete` asks for a label. Raises DatasetError for a shard that
    is damaged, or holds what is no sample.
    """
    with _opened(shard) as file:
        held: list[_Member] = []
        for member in _members(shard, file):
            if held and member.key != held[0].key:
                yield _sample(shard, file, held, complete=complete)
                held = []
            held.append(member)
        if held:
            yield _sample(shard, file, held, complete=complete)


def find_shard(root: Path, path: str) -> tuple[Path, str] | None:
    """Shard and member that a sample's path leads to; None where it is a file of its own."""
    before, mark, member = path.partition(f"{SUFFIX}/")
    shard = root / (before + SUFFIX)
    return (shard, member) if mark and shard.is_file() else None


def has_member(shard: Path, name: str) -> bool:
    """Whether the shard holds that member; raises DatasetError when it is damaged."""
    return _table(shard).find(name) is not None


def read_member(shard: Path, name: str) -> bytes:
    """The content of a member; raises OSError, also when there is none, or DatasetError for damage."""
    found = _table(shard).find(name)
    if found is None:
        raise FileNotFoundError(2, "no such member in the shard", f"{shard}/{name}")
    offset, size = found
    with shard.open("rb") as file:
        file.seek(offset)
        return file.read(size)


@dataclass(frozen=True, slots=True)
class _Table:
    """Where the members of a shard lie, by the hash of their names."""

    hashes: npt.NDArray[np.int64]
    """Ascending."""
    places: npt.NDArray[np.int64]
    """(n, 2): offset and size in bytes."""

    def find(self, name: str) -> tuple[int, int] | None:
        wanted = hash(name)
        position = int(np.searchsorted(self.hashes, wanted))
        if position == len(self.hashes) or self.hashes[position] != wanted:
            return None
        offset, size = self.places[position].tolist()
        return offset, size


def _table(shard: Path) -> _Table:
    # A shard that was written anew is listed anew.
    state = shard.stat()
    return _listed(shard, state.st_mtime_ns, state.st_size)


@cache
def _listed(shard: Path, _mtime_ns: int, _size: int) -> _Table:
    hashes, places = array("q"), array("q")
    with _opened(shard) as file:
        for member in _members(shard, file):
            hashes.append(hash(member.name))
            places.extend((member.offset, member.size))
    order = np.argsort(np.frombuffer(hashes, np.int64), kind="stable")
    ordered = np.frombuffer(hashes, np.int64)[order]
    if (ordered[1:] == ordered[:-1]).any():
        raise DatasetError(f"{shard} holds two members of one name: write the shard anew")
    return _Table(ordered, np.frombuffer(places, np.int64).reshape(-1, 2)[order])


def _opened(shard: Path) -> BinaryIO:
    try:
        return shard.open("rb")
    except OSError as exc:
        raise DatasetError(f"the shard {shard} cannot be read: {exc.strerror}") from exc


def _members(shard: Path, file: BinaryIO) -> Iterator[_Member]:
    """The regular files of a shard; raises DatasetError unless it is whole up to its end mark."""
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            while (info := archive.next()) is not None:
                # It would keep every header it has seen; typeshed does not know the attribute.
                archive.members.clear()  # type: ignore[attr-defined]
                if not info.isdir():
                    yield _member(shard, info)
            end = archive.offset
    except tarfile.TarError as exc:
        raise DatasetError(
            f"the shard {shard} is damaged or no tar file: {exc}; fetch it anew"
        ) from exc
    # tarfile takes whatever is no header for the end, and so would lose the rest without a word.
    file.seek(end)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        size = os.fstat(file.fileno()).st_size
        raise DatasetError(
            f"the shard {shard} is damaged: it breaks off at byte {end} of {size} without the end mark "
            "of a tar file; fetch it anew"
        )


def _member(shard: Path, info: tarfile.TarInfo) -> _Member:
    name = inner_path(info.name)
    if name is None:
        raise DatasetError(
            f"the shard {shard} holds a member {info.name!r}: names must be relative and without '..'; "
            "write the shard anew"
        )
    if not info.isreg() or info.issparse():
        raise DatasetError(
            f"the shard {shard} holds a member {name!r} that is no plain file: write the shard anew"
        )
    return _Member(name=name, offset=info.offset_data, size=info.size)


def _sample(shard: Path, file: BinaryIO, members: list[_Member], *, complete: bool) -> Sample:
    key = members[0].key
    images = [member for member in members if member.suffix in IMAGE_SUFFIXES]
    if len(images) != 1:
        raise DatasetError(
            f"the shard {shard} has {len(images)} images for the key {key!r}: expected one, "
            f"{key}.jpg or another of {', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    notes = {member.suffix: member for member in members}
    fields: dict[str, str] = {}
    if ".json" in notes:
        fields = _read_json(shard, file, notes[".json"])
    if ".cls" in notes:
        fields["label"] = _read_note(shard, file, notes[".cls"]).strip()
    if complete and not fields.get("label"):
        raise DatasetError(
            f"the shard {shard} has no label for the key {key!r}: "
            f"add {key}.cls, or a label in {key}.json"
        )
    path = f"{shard.name}/{images[0].name}"
    return Sample(
        path=path,
        label=fields.get("label", ""),
        group=fields.get("group") or path,
        **{name: fields.get(name, "") for name in OPTIONAL},
    )


def _read_json(shard: Path, file: BinaryIO, member: _Member) -> dict[str, str]:
    try:
        found = json.loads(_read_note(shard, file, member))
    except ValueError as exc:
        raise DatasetError(f"{shard}/{member.name} is not JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise DatasetError(
            f'{shard}/{member.name} must hold a JSON object, such as {{"label": ...}}'
        )
    return {name: "" if value is None else str(value).strip() for name, value in found.items()}


def _read_note(shard: Path, file: BinaryIO, member: _Member) -> str:
    if member.size > _LARGEST_NOTE:
        raise DatasetError(f"{shard}/{member.name} has {member.size} bytes: too many for a label")
    before = file.tell()
    file.seek(member.offset)
    data = file.read(member.size)
    file.seek(before)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as exc:
        raise DatasetError(f"{shard}/{member.name} is not text in UTF-8: {exc}") from exc
