"""The seam between the station and an inference library: what an engine is, and what it answers."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What a model says of one batch of N frames; its arrays are nobody else's."""

    logits: npt.NDArray[np.float32]
    """(N, classes), finite."""
    features: npt.NDArray[np.float32] | None
    """(N, features), finite: what the classifier reads. None of a model without that output."""


class InferenceEngine(Protocol):
    """A loaded model. Opened by its constructor, used by one thread, closed exactly once."""

    @property
    def name(self) -> str:
        """Which engine and version: `onnxruntime 1.23.2`."""
        ...

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        """What the model says of a batch (N, height, width, 3) uint8 RGB, any N >= 1.

        The array is the caller's, who writes over it once this has returned.
        Raises EngineError when the engine fails or returns something that is not finite.
        """
        ...

    def close(self) -> None:
        """Release the model; safe to call twice."""
        ...
