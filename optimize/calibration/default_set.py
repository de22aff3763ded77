"""The default calibration set: drawn by the simulation, the same for everybody.

Owns which parts are drawn, how they are stored, and `manifest.csv`. Every class gets the same number of
images, since what a rare defect excites must not be clipped. Most are of the present generation of the
line; a few of the older one keep the ranges from hugging a single lamp. Sharp and undamaged, spread over
half a year of the simulated process, no two from one module.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from edge_runtime.simulation.generations import LABELS
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from edge_runtime.written_aside import written_aside
from optimize.data.dataset import MANIFEST
from optimize.errors import PackageError

SEED = 50
"""Of the set in the repository. Training and test data are drawn with other seeds."""
COUNT = 96
DOMAINS = ("gen3", "gen3", "gen3", "gen3", "gen3", "gen2")
"""Dealt out in turn to the images of a class."""
_JPEG_QUALITY = 92
_MODULES_APART = 43
"""At one module an hour, 96 images cover 24 weeks: the slowest drift of the process several times."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """One calibration image."""

    path: str
    sha256: str
    label: str
    seed: int
    domain: str
    data: bytes
    """The JPEG file."""


def draw(count: int = COUNT, seed: int = SEED) -> Iterator[Drawn]:
    """`count` images at 256x256, the classes in turn; deterministic in both arguments."""
    lines = {domain: SimulatedLine(domain, seed) for domain in dict.fromkeys(DOMAINS)}
    for index in range(count):
        turn, place = divmod(index, len(LABELS))
        # Shifted by the class, so that a short set has both domains as well.
        domain = DOMAINS[(turn + place) % len(DOMAINS)]
        label = LABELS[place]
        module = index * _MODULES_APART
        part = module * CROPS_PER_MODULE + index % CROPS_PER_MODULE
        pixels = lines[domain].render(part, label)
        _, encoded = cv2.imencode(
            ".jpg",
            cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR),
            [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY],
        )
        data = encoded.tobytes()
        yield Drawn(
            path=f"{label}/{domain}-{part:06d}.jpg",
            sha256=hashlib.sha256(data).hexdigest(),
            label=label,
            seed=seed,
            domain=domain,
            data=data,
        )


def write(
    out: Path, count: int, seed: int, advanced: Callable[[int], None] = lambda _images: None
) -> int:
    """Draw a set into `out`, its manifest last; returns the bytes of its images.

    Raises PackageError when there is a manifest already or the folder cannot be written.
    """
    manifest = out / MANIFEST
    if manifest.exists():
        raise PackageError(
            f"{manifest} exists already and stays as it is: remove the old set first"
        )
    columns = ("path", "sha256", "label", "seed", "domain")
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(columns)
    size = 0
    try:
        out.mkdir(parents=True, exist_ok=True)
        for image in draw(count, seed):
            file = out / image.path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(image.data)
            table.writerow([getattr(image, column) for column in columns])
            size += len(image.data)
            advanced(1)
    except OSError as exc:
        raise PackageError(f"{exc.filename or out} cannot be written: {exc.strerror}") from exc
    with written_aside(manifest, error=PackageError) as aside:
        aside.write_text(lines.getvalue(), encoding="utf-8")
    return size
