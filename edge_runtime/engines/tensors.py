"""What every engine checks alike: the batch that goes in and the logits that come out."""

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.errors import EngineError


def check_batch(batch: npt.NDArray[np.uint8], spec: ModelSpec) -> None:
    """Raise EngineError unless the batch is (N >= 1, height, width, 3) uint8 of the spec's size."""
    expected = (spec.input.height, spec.input.width, 3)
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != expected or not len(batch):
        raise EngineError(
            f"expected a batch (N >= 1, {', '.join(map(str, expected))}) uint8, "
            f"got {batch.shape} {batch.dtype}"
        )


def check_logits(
    logits: npt.NDArray[np.float32], frames: int, spec: ModelSpec
) -> npt.NDArray[np.float32]:
    """The logits, if they are (frames, classes) and finite; raises EngineError otherwise."""
    expected = (frames, len(spec.labels))
    if logits.shape != expected:
        raise EngineError(
            f"the model answered with shape {logits.shape}, its labels ask for {expected}: "
            "model file and manifest do not belong together"
        )
    if not np.isfinite(logits).all():
        raise EngineError(
            "the model answered with NaN or infinity: rebuild it from a sound checkpoint"
        )
    return logits
