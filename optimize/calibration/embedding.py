"""Where an image lies among others, as the float model sees it: by its features, of length 1.

Run by ONNX Runtime, like everything on this floor.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import InputSpec
from optimize.calibration.probe import probe
from optimize.data.dataset import Dataset
from optimize.data.images import Fault, Image, read_images
from optimize.errors import CalibrationError
from optimize.features import locate
from optimize.graph import INPUT

_BATCH = 8

Features = npt.NDArray[np.float32]
"""(images, features), each row of length 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedded:
    """Images that could be read, with their features, and those that could not."""

    dataset: Dataset
    """Of the images that could, in their order."""
    features: Features
    """A row for each of them."""
    faults: tuple[Fault, ...]


def embed(
    dataset: Dataset,
    model: onnx.ModelProto,
    spec: InputSpec,
    advanced: Callable[[int], None] = lambda _images: None,
) -> Embedded:
    """The features of every image of the data set; `advanced` hears of each.

    Pixels are kept for one small batch at a time. Raises CalibrationError when no image can be read and
    ModelError when the model has no features.
    """
    tensor = locate(model).features
    session = probe(model, [tensor])
    faults: list[Fault] = []

    def sound() -> Iterator[tuple[int, Pixels]]:
        for index, item in enumerate(read_images(dataset, spec)):
            if isinstance(item, Image):
                yield index, item.pixels
            else:
                faults.append(item)
            advanced(1)

    places: list[int] = []
    parts: list[Features] = []
    for batch in _batches(sound()):
        (values,) = session.run([tensor], {INPUT: np.stack([pixels for _, pixels in batch])})
        places += [index for index, _ in batch]
        parts.append(values.reshape(len(batch), -1))
    if not parts:
        raise CalibrationError(
            f"none of the {len(faults)} images looked at in {dataset.root} can be used; the first, "
            f"{faults[0].path}: {faults[0].reason}"
        )
    return Embedded(
        dataset=dataset.at(places),
        features=_normed(np.concatenate(parts)),
        faults=tuple(faults),
    )


def _batches(coming: Iterator[tuple[int, Pixels]]) -> Iterator[list[tuple[int, Pixels]]]:
    batch = []
    for item in coming:
        batch.append(item)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _normed(values: npt.NDArray[np.float32]) -> Features:
    # Directions are compared: how far an image is from others must not hang on its contrast alone.
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.maximum(lengths, 1e-12), np.float32)
