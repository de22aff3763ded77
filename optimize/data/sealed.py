"""The sealed test set as a build knows it: images that it must not learn from or look at.

Owns the refusal, by the hash of the content, wherever a sealed image lies and whatever it is called.
Reads the list that `train split` wrote and none of its images.
"""

import csv
import hashlib
from pathlib import Path

from optimize.data.dataset import Dataset
from optimize.errors import CalibrationError

SEALED = "sealed.csv"
"""In the folder of a split; its column `sha256` is of the files' contents."""


def read_sealed(split: Path) -> frozenset[bytes]:
    """The hashes of a split's sealed images; raises CalibrationError where there is no such list."""
    file = split / SEALED
    try:
        with file.open(encoding="utf-8", newline="") as rows:
            return frozenset(bytes.fromhex(row["sha256"]) for row in csv.DictReader(rows))
    except OSError as exc:
        raise CalibrationError(
            f"--sealed {split}: cannot read {file}: {exc.strerror}; give the folder that "
            "`train split --out` wrote"
        ) from exc
    except (csv.Error, KeyError, TypeError, ValueError) as exc:
        raise CalibrationError(f"{file} is damaged: {exc}; fetch it from a backup") from exc


def refuse_sealed(dataset: Dataset, sealed: frozenset[bytes], purpose: str) -> None:
    """Raise CalibrationError where an image is a sealed one; what cannot be read is not judged."""
    found = []
    for index, path in enumerate(dataset.column("path")):
        try:
            content = dataset.read(index)
        except OSError:
            continue  # whoever reads the images counts it as a fault
        if hashlib.sha256(content).digest() in sealed:
            found.append(path)
    if found:
        raise CalibrationError(
            f"{len(found)} of the {purpose} images in {dataset.root} are of the sealed test set, first "
            f"{found[0]}: take others, or the test no longer says anything"
        )
