"""OpenVINO on Intel CPUs: the extra `openvino`."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import Inference
from edge_runtime.engines.tensors import FEATURES, check_batch, checked
from edge_runtime.errors import EngineError, first_line

try:
    import openvino as ov
except ImportError as exc:
    raise EngineError(
        "the engine openvino is not installed: pip install 'edge-inspect[openvino]'"
    ) from exc


class OpenVinoEngine:
    """Prefer it where the last third of speed counts; it starts slower than `OnnxRuntimeEngine`.

    The model is compiled twice: for any batch, and for single frames of a known shape, where that takes
    5 to 8 % less CPU time per image (lite0 int8, AVX512) for another half second at start and 12 MB.
    """

    def __init__(self, model: Path, spec: ModelSpec, *, threads: int = 1) -> None:
        self._spec = spec
        how = {
            # On recent CPUs OpenVINO would take bf16 unasked: 93 % argmax agreement only.
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
        }
        core = ov.Core()
        try:
            network = core.read_model(str(model))
            self._features = _keep_answers(network)
            any_batch = core.compile_model(network, "CPU", how)
            network.reshape([1, spec.input.height, spec.input.width, 3])
            single = core.compile_model(network, "CPU", how)
        except RuntimeError as exc:
            raise EngineError(f"OpenVINO refuses {model}: {first_line(exc)}") from exc
        self._any_batch = any_batch.create_infer_request()
        self._single = single.create_infer_request()
        self._closed = False

    @property
    def name(self) -> str:
        return f"openvino {ov.__version__.partition('-')[0]}"

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        check_batch(batch, self._spec)
        if self._closed:
            raise EngineError("the engine is closed")
        request = self._single if len(batch) == 1 else self._any_batch
        try:
            # Shared: the frames are read where they lie, which nobody writes to meanwhile.
            result = request.infer({0: batch}, share_inputs=True)
        except RuntimeError as exc:
            raise EngineError(f"OpenVINO failed: {first_line(exc)}") from exc
        # Copies: the request's buffers are overwritten by the next batch.
        features = np.array(result[1], dtype=np.float32) if self._features else None
        logits = np.array(result[0], dtype=np.float32)
        return checked(logits, features, len(batch), self._spec)

    def close(self) -> None:
        self._closed = True
        self._any_batch = self._single = None


def _keep_answers(network: ov.Model) -> bool:
    """Leave a model its logits and its features; whether it has features.

    OpenVINO computes and copies every output that a model has, asked for or not.
    """
    _logits, *others = network.results
    features = [r for r in others if FEATURES in r.input(0).get_source_output().get_names()]
    for result in others:
        if result not in features:
            network.remove_result(result)
    return bool(features)
