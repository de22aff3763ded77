"""The images of a data set as pixels at a model's size, one at a time.

Files are decoded and resized by the runtime's own code. A file that cannot be used becomes a `Fault`
beside the images: whoever reads counts it, nothing is dropped in silence.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.preprocessing import fit
from optimize.data.dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """A file that could be read, at the model's input size."""

    path: str
    label: str
    group: str
    pixels: Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A file that could not be used, and why."""

    path: str
    reason: str


def read_images(dataset: Dataset, spec: InputSpec) -> Iterator[Image | Fault]:
    """Every sample in order, one at a time: an Image at the size of `spec`, or the Fault it has."""
    for index, sample in enumerate(dataset.samples):
        try:
            data = dataset.read(index)
        except OSError as exc:
            yield Fault(path=sample.path, reason=exc.strerror or "unreadable")
            continue
        if sample.sha256 and hashlib.sha256(data).hexdigest() != sample.sha256:
            yield Fault(path=sample.path, reason="its sha256 differs from the manifest's")
            continue
        try:
            pixels = fit(decode(data), spec)
        except Undecodable as exc:
            yield Fault(path=sample.path, reason=str(exc))
            continue
        yield Image(path=sample.path, label=sample.label, group=sample.group, pixels=pixels)
