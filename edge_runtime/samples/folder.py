"""The folder of the samples: each one JSON file, written last, beside its frames.

Owns the files and that a sample is there whole or not at all: frames are written first, then the JSON is
renamed into place; on the way out the JSON goes first. What a kill left behind is swept away by the next
daemon. There is no index that could disagree with the files. The daemon writes here; commands read and
remove beside it, so a file may be gone at any time.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import ValidationError

from edge_runtime.contracts.sample import RandomShare, Sample
from edge_runtime.errors import StateError
from edge_runtime.written_aside import written_aside

SAMPLES = "samples"
"""Below a station's state folder."""
_RANDOM = "random.json"
_JSON = ".json"
_BLOCK = 4096
"""Bytes that a file takes up on a disk at least, and in steps of."""


class Folder:
    """The samples of one station; raises OSError or StateError for whatever the disk refuses."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self) -> None:
        """Make the folder, for its owner alone: frames may show more than parts."""
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)

    def sweep(self) -> int:
        """Remove what belongs to no whole sample, and return how many files that were.

        For the daemon alone, while it writes nothing.
        """
        whole = {_RANDOM}
        for sample in self.samples():
            if self.is_whole(sample):
                whole |= {f"{sample.name}{_JSON}", *(frame.file for frame in sample.frames)}
        swept = 0
        for file in self._files():
            if file.name not in whole:
                file.unlink(missing_ok=True)
                swept += 1
        return swept

    def names(self) -> frozenset[str]:
        """Of the samples that are there."""
        return frozenset(
            file.name.removesuffix(_JSON)
            for file in self._files()
            if file.name.endswith(_JSON) and file.name != _RANDOM
        )

    def samples(self) -> Iterator[Sample]:
        """All that can be read, the oldest first; one at a time."""
        for name in sorted(self.names()):
            sample = self.read(name)
            if sample is not None:
                yield sample

    def read(self, name: str) -> Sample | None:
        """The sample; None where it is gone or is none of ours."""
        try:
            return Sample.model_validate_json((self.path / f"{name}{_JSON}").read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def is_whole(self, sample: Sample) -> bool:
        """Whether each of its frames has its size; a power cut may leave a file without its end."""
        try:
            return all(
                (self.path / frame.file).stat().st_size == frame.bytes for frame in sample.frames
            )
        except FileNotFoundError:
            return False

    def frames(self, sample: Sample) -> tuple[bytes, ...] | None:
        """Its frames' files; None where one is gone or is not what was written."""
        try:
            files = tuple((self.path / frame.file).read_bytes() for frame in sample.frames)
        except FileNotFoundError:
            return None
        for file, frame in zip(files, sample.frames, strict=True):
            if hashlib.sha256(file).hexdigest() != frame.sha256:
                return None
        return files

    def write(self, sample: Sample, frames: Sequence[bytes]) -> None:
        """Write a sample; when it fails nothing of it stays."""
        try:
            for data, frame in zip(frames, sample.frames, strict=True):
                (self.path / frame.file).write_bytes(data)
            self._replace(f"{sample.name}{_JSON}", sample.to_json())
        except (OSError, StateError):
            self._remove(sample)
            raise

    def rewrite(self, sample: Sample) -> None:
        """Write what is said of a sample anew, its frames staying as they are."""
        self._replace(f"{sample.name}{_JSON}", sample.to_json())

    def remove(self, name: str) -> None:
        """Remove a sample, if it is there."""
        sample = self.read(name)
        if sample is not None:
            self._remove(sample)

    def random_share(self) -> RandomShare | None:
        """What is known of the random samples; None where there never were any, or it is damaged."""
        try:
            return RandomShare.model_validate_json((self.path / _RANDOM).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def write_random_share(self, share: RandomShare) -> None:
        """Remember it."""
        self._replace(_RANDOM, share.to_json())

    def free_bytes(self) -> int:
        """That the disk has left for this user."""
        disk = os.statvfs(self.path)
        return disk.f_bavail * disk.f_frsize

    def _remove(self, sample: Sample) -> None:
        for name in (f"{sample.name}{_JSON}", *(frame.file for frame in sample.frames)):
            (self.path / name).unlink(missing_ok=True)

    def _replace(self, name: str, text: str) -> None:
        # A sync would have the journal's commits wait behind it; what a power cut tears is swept away.
        with written_aside(self.path / name, error=StateError, synced=False) as aside:
            aside.write_text(text, encoding="utf-8")

    def _files(self) -> Iterator[Path]:
        if self.path.is_dir():
            yield from (file for file in self.path.iterdir() if file.is_file())


def bytes_on_disk(sample: Sample) -> int:
    """What a sample takes up: its files in whole blocks."""
    sizes = [len(sample.to_json().encode()), *(frame.bytes for frame in sample.frames)]
    return sum(-(-size // _BLOCK) * _BLOCK for size in sizes)
