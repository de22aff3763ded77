"""OpenVINO on Intel CPUs: the extra `openvino`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.tensors import check_batch, check_logits
from edge_runtime.errors import EngineError

try:
    import openvino as ov
except ImportError as exc:
    raise EngineError(
        "the engine openvino is not installed: pip install 'edge-inspect[openvino]'"
    ) from exc


class OpenVinoEngine:
    """Prefer it where the last third of speed counts; it starts slower than `OnnxRuntimeEngine`."""

    def __init__(self, model: Path, spec: ModelSpec, *, threads: int = 1) -> None:
        self._spec = spec
        core = ov.Core()
        try:
            self._compiled = core.compile_model(
                str(model),
                "CPU",
                {
                    # On recent CPUs OpenVINO would take bf16 unasked: 93 % argmax agreement only.
                    "INFERENCE_PRECISION_HINT": "f32",
                    "INFERENCE_NUM_THREADS": threads,
                    "PERFORMANCE_HINT": "LATENCY",
                },
            )
        except RuntimeError as exc:
            first = str(exc).strip().partition("\n")[0]
            raise EngineError(f"OpenVINO refuses {model}: {first}") from exc
        self._request = self._compiled.create_infer_request()

    @property
    def name(self) -> str:
        return f"openvino {ov.__version__.partition('-')[0]}"

    def infer(self, batch: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        check_batch(batch, self._spec)
        if self._request is None:
            raise EngineError("the engine is closed")
        try:
            result = self._request.infer({0: batch})
        except RuntimeError as exc:
            first = str(exc).strip().partition("\n")[0]
            raise EngineError(f"OpenVINO failed: {first}") from exc
        # A copy: the request's buffer is overwritten by the next batch.
        return check_logits(np.array(result[0], dtype=np.float32), len(batch), self._spec)

    def close(self) -> None:
        self._request = None
        self._compiled = None
