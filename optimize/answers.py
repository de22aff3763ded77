"""Several variants answer the same images, side by side.

Owns the running of engines over labelled images; what the answers are worth is judged in `gates`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edge_runtime.engines.base import InferenceEngine
from optimize.data.images import Fault, Image

_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What each variant said about the images that could be read, in their order."""

    paths: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str, ...]
    logits: Mapping[str, npt.NDArray[np.float32]]
    """By precision: (images, classes) float32."""
    faults: tuple[Fault, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def of(self, logits: Mapping[str, npt.NDArray[np.float32]]) -> "Answers":
        """The same images with these answers in place of those."""
        return replace(self, logits=logits)


def answer(
    images: Iterable[Image | Fault],
    engines: Mapping[str, InferenceEngine],
    classes: int,
    advanced: Callable[[int], None] = lambda _images: None,
) -> Answers:
    """Run every engine over all images; `advanced` hears of images done, faulty ones included."""
    paths: list[str] = []
    labels: list[str] = []
    groups: list[str] = []
    faults: list[Fault] = []
    rows: dict[str, list[npt.NDArray[np.float32]]] = {
        precision: [np.empty((0, classes), np.float32)] for precision in engines
    }
    for batch in _batches(images):
        usable = [image for image in batch if isinstance(image, Image)]
        faults.extend(image for image in batch if isinstance(image, Fault))
        paths.extend(image.path for image in usable)
        labels.extend(image.label for image in usable)
        groups.extend(image.group for image in usable)
        if usable:
            pixels = np.stack([image.pixels for image in usable])
            for precision, engine in engines.items():
                rows[precision].append(engine.infer(pixels).logits)
        advanced(len(batch))
    return Answers(
        paths=tuple(paths),
        labels=tuple(labels),
        groups=tuple(groups),
        logits={precision: np.concatenate(parts) for precision, parts in rows.items()},
        faults=tuple(faults),
    )


def _batches(images: Iterable[Image | Fault]) -> Iterator[list[Image | Fault]]:
    batch: list[Image | Fault] = []
    for image in images:
        batch.append(image)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
