"""What an exported model answers on labelled images, through the engine and the rule of the line.

Owns the way from images to answers. What is counted on them is the business of `train.evidence.
evaluation`; the engine is opened and closed by whoever asks.
"""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edge_runtime import policy
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.policy import Decision
from optimize.data.dataset import Dataset
from optimize.data.samples import take
from optimize.errors import CalibrationError
from optimize.graph import FloatModel
from train.data.stream import BatchStream, open_images
from train.errors import DatasetError, SealError

_BATCH = 8
"""Larger batches are slower in ONNX Runtime on one thread."""


@dataclass(frozen=True, kw_only=True)
class Examined:
    """Images and what the model answers."""

    model: ModelSpec
    dataset: Dataset
    """The images that could be decoded."""
    undecodable: int
    """Images that were left out."""
    data_sha256: str
    """Over path, label, group and bytes of every image."""
    logits: npt.NDArray[np.float32]
    """(N, classes)."""

    @cached_property
    def truth(self) -> npt.NDArray[np.int64]:
        """(N,) positions in the model's labels."""
        positions = np.array([self.model.labels.index(label) for label in self.dataset.labels])
        return np.asarray(positions[self.dataset.classes], np.int64)

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The group of each image."""
        return tuple(self.dataset.column("group"))

    @cached_property
    def is_good(self) -> npt.NDArray[np.bool_]:
        """(N,) whether each part is good, as labelled."""
        return np.isin(self.model.labels, self.model.decision.ok_labels)[self.truth]

    @cached_property
    def shares(self) -> npt.NDArray[np.float32]:
        """(N, classes) the probabilities that the rule decides on."""
        return policy.probabilities(self.logits, self.model.decision.temperature)

    @cached_property
    def decisions(self) -> tuple[Decision, ...]:
        """What the rule makes of each."""
        return policy.decide(self.shares, self.model)

    def only(self, images: npt.NDArray[np.int64]) -> "Examined":
        """The same for some of the images, by position."""
        return replace(
            self,
            dataset=replace(self.dataset, samples=take(self.dataset.samples, images.tolist())),
            logits=self.logits[images],
        )


def require_known(labels: Collection[str], model: FloatModel, column: str) -> None:
    """Raise DatasetError when there is a class that the model does not know."""
    unknown = sorted(set(labels) - set(model.spec.labels))
    if unknown:
        raise DatasetError(
            f"{model.path} knows no class {', '.join(unknown)}, only {', '.join(model.spec.labels)}: "
            f"leave such rows out (--where '{column}!={unknown[0]}')"
        )


def require_unsealed(dataset: Dataset, model: FloatModel) -> None:
    """Raise SealError where an image is of the test set that was frozen before the model was taught."""
    try:
        model.sealed.refuse(dataset, "named")
    except CalibrationError as exc:
        raise SealError(f"{exc}; what opens it is --split SPLIT_FOLDER --final") from exc


def examine(
    engine: InferenceEngine,
    model: ModelSpec,
    dataset: Dataset,
    *,
    advanced: Callable[[int], object] = lambda _images: None,
) -> Examined:
    """Run every image through the engine; `advanced` is told of each few. Raises DatasetError."""
    images = open_images(dataset, model.input, workers=2, memory_limit=0)
    logits = np.empty((len(images), len(model.labels)), np.float32)
    done = 0
    with ThreadPoolExecutor(2, thread_name_prefix="images") as pool:
        stream = BatchStream(
            store=images,
            order=range(len(images)),
            batch_size=_BATCH,
            size=model.input,
            pool=pool,
        )
        for batch in stream:
            count = len(batch.frames)
            logits[done : done + count] = engine.infer(batch.frames).logits
            done += count
            advanced(count)
    return Examined(
        model=model,
        dataset=images.dataset,
        undecodable=len(images.quarantined),
        data_sha256=images.sha256,
        logits=logits,
    )
