"""The sealed test set as all but the final evaluation know it: images that must not be looked at.

Owns the refusal, by the hash of the content, wherever a sealed image lies and whatever it is called. The
list is read from the folder that `train split` wrote, or from the model itself: what was taught under a
frozen split carries the list with it. Of its images nothing is read.
"""

import base64
import binascii
import csv
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from optimize.data.dataset import Dataset
from optimize.errors import CalibrationError

SEALED = "sealed.csv"
"""In the folder of a split; its column `sha256` is of the files' contents."""
_KEPT: Final = 8
"""Bytes of each SHA-256: of a million images against a million sealed ones, none is mistaken for one
with a probability of 0.99999995, and 10,000 of them take 107 kB in a model's file."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """The contents that are sealed; without any, nothing is refused."""

    beginnings: frozenset[bytes] = frozenset()
    """The first _KEPT bytes of the SHA-256 of each."""

    @classmethod
    def of(cls, hashes: Iterable[bytes]) -> Self:
        """Those with the SHA-256 `hashes`, 32 bytes each."""
        return cls(frozenset(digest[:_KEPT] for digest in hashes))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `to_text` made; raises ValueError for anything else."""
        try:
            content = base64.b64decode(text, validate=True)
        except binascii.Error as exc:
            raise ValueError(f"the list of sealed images is no base64: {exc}") from exc
        if len(content) % _KEPT:
            raise ValueError(f"the list of sealed images has {len(content)} bytes, cut short")
        return cls(frozenset(content[at : at + _KEPT] for at in range(0, len(content), _KEPT)))

    def to_text(self) -> str:
        """The same set gives the same line."""
        return base64.b64encode(b"".join(sorted(self.beginnings))).decode()

    def __or__(self, other: "Sealed") -> "Sealed":
        return Sealed(self.beginnings | other.beginnings)

    def refuse(self, dataset: Dataset, purpose: str) -> None:
        """Raise CalibrationError where an image is a sealed one; what cannot be read is not judged."""
        if not self.beginnings:
            return
        found = []
        for index, path in enumerate(dataset.column("path")):
            try:
                content = dataset.read(index)
            except OSError:
                continue  # whoever reads the images counts it as a fault
            if hashlib.sha256(content).digest()[:_KEPT] in self.beginnings:
                found.append(path)
        if found:
            raise CalibrationError(
                f"{len(found)} of the {purpose} images in {dataset.root} are of the sealed test set, "
                f"first {found[0]}: take others, or the test no longer says anything"
            )


def read_sealed(split: Path) -> Sealed:
    """What a split has sealed; raises CalibrationError where there is no such list."""
    file = split / SEALED
    try:
        with file.open(encoding="utf-8", newline="") as rows:
            return Sealed.of(bytes.fromhex(row["sha256"]) for row in csv.DictReader(rows))
    except OSError as exc:
        raise CalibrationError(
            f"--sealed {split}: cannot read {file}: {exc.strerror}; give the folder that "
            "`train split --out` wrote"
        ) from exc
    except (csv.Error, KeyError, TypeError, ValueError) as exc:
        raise CalibrationError(f"{file} is damaged: {exc}; fetch it from a backup") from exc
