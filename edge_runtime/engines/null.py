"""An engine that looks at nothing: for trying out cameras, brokers and the wiring between them."""

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import Inference
from edge_runtime.engines.tensors import check_batch
from edge_runtime.errors import EngineError


class NullEngine:
    """Answers with equal logits, so every verdict is what the rule makes of total ignorance."""

    def __init__(self, spec: ModelSpec, *, threads: int = 1) -> None:
        if threads < 1:
            raise EngineError(f"threads must be at least 1, got {threads}")
        self._spec = spec
        self._closed = False

    @property
    def name(self) -> str:
        return "null"

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        check_batch(batch, self._spec)
        if self._closed:
            raise EngineError("the engine is closed")
        logits = np.zeros((len(batch), len(self._spec.labels)), dtype=np.float32)
        return Inference(logits=logits, features=None)

    def close(self) -> None:
        self._closed = True
