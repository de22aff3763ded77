"""What every engine knows alike: the names of a model's outputs, and what may go in and come out."""

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import Inference
from edge_runtime.errors import EngineError

FEATURES = "features"
"""The output of what the classifier reads, (N, features) float32. The first output is the logits."""
FEATURE_MAP = "feature_map"
"""The output of the last stage's picture, (N, channels, rows, columns) float32. No engine fetches it: it
is there for heat maps, and a file for TensorRT is without."""


def check_batch(batch: npt.NDArray[np.uint8], spec: ModelSpec) -> None:
    """Raise EngineError unless the batch is (N >= 1, height, width, 3) uint8 of the spec's size."""
    expected = (spec.input.height, spec.input.width, 3)
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[1:] != expected or not len(batch):
        raise EngineError(
            f"expected a batch (N >= 1, {', '.join(map(str, expected))}) uint8, "
            f"got {batch.shape} {batch.dtype}"
        )


def checked(
    logits: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32] | None,
    frames: int,
    spec: ModelSpec,
) -> Inference:
    """The answer, if the logits are (frames, classes), the features (frames, any), and both finite.

    Raises EngineError otherwise.
    """
    expected = (frames, len(spec.labels))
    if logits.shape != expected:
        raise EngineError(
            f"the model answered with shape {logits.shape}, its labels ask for {expected}: "
            "model file and manifest do not belong together"
        )
    if features is not None and (features.ndim != 2 or len(features) != frames):
        raise EngineError(
            f"the model's output `{FEATURES}` has shape {features.shape}, expected ({frames}, any): "
            "build the bundle again with `optimize build`"
        )
    for values in (logits, features):
        if values is not None and not np.isfinite(values).all():
            raise EngineError(
                "the model answered with NaN or infinity: rebuild it from a sound checkpoint"
            )
    return Inference(logits=logits, features=features)
