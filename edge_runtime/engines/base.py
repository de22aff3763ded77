"""The seam between the station and an inference library."""

from typing import Protocol

import numpy as np
import numpy.typing as npt


class InferenceEngine(Protocol):
    """A loaded model. Opened by its constructor, used by one thread, closed exactly once."""

    @property
    def name(self) -> str:
        """Which engine and version: `onnxruntime 1.23.2`."""
        ...

    def infer(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Logits (N, classes) float32 of a batch (N, height, width, 3) uint8 RGB, any N >= 1.

        Raises EngineError when the engine fails or returns something that is not finite.
        """
        ...

    def close(self) -> None:
        """Release the model; safe to call twice."""
        ...
