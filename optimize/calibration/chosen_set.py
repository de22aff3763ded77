"""A calibration set that was chosen from a data set, as a folder of its own.

Owns the form: the images byte for byte under `images/`, `manifest.csv`, and `calibration.jpg`, which
shows them. The folder is the caller's, who makes it appear whole or not at all.
"""

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import cv2

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import decode
from edge_runtime.preprocessing import fit
from optimize.calibration.contact_sheet import contact_sheet
from optimize.data.dataset import MANIFEST, Dataset
from optimize.data.manifest import Sample

SHEET = "calibration.jpg"
COLUMNS = ("path", "sha256", "label", "domain", "origin")
"""`origin` is the image's path in the data set that it was chosen from."""


def write_chosen(
    dataset: Dataset,
    spec: InputSpec,
    folder: Path,
    advanced: Callable[[int], None] = lambda _images: None,
) -> int:
    """Write all images of `dataset` into an empty folder; returns the bytes of the images.

    They can all be read and decoded, or OSError and Undecodable pass through.
    """
    (folder / "images").mkdir()
    tiles: dict[str, list[Pixels]] = {label: [] for label in dataset.labels}
    rows = []
    size = 0
    for index, sample in enumerate(dataset.samples):
        data = dataset.read(index)
        sha256 = hashlib.sha256(data).hexdigest()
        # Named by place and content: names of two folders, or of a shard, may be the same or be unfit.
        path = f"images/{index:04d}-{sha256[:12]}{PurePosixPath(sample.path).suffix.lower()}"
        (folder / path).write_bytes(data)
        rows.append((path, sha256, sample.label, domain(sample), sample.path))
        tiles[sample.label].append(fit(decode(data), spec))
        size += len(data)
        advanced(1)
    with (folder / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        table.writerows(rows)
    _, sheet = cv2.imencode(".jpg", cv2.cvtColor(contact_sheet(tiles), cv2.COLOR_RGB2BGR))
    (folder / SHEET).write_bytes(sheet.tobytes())
    return size


def domain(sample: Sample) -> str:
    """Where an image comes from, as far as the manifest says: generation, line and station."""
    return "/".join(filter(None, (sample.generation, sample.line, sample.station)))
