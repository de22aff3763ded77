"""Which engines there are. The names are the same on every machine, installed or not."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.plans import Plan
from edge_runtime.errors import EngineError

Opener = Callable[[Path, ModelSpec, int, Sequence[Plan]], InferenceEngine]


def _onnxruntime(
    model: Path, spec: ModelSpec, threads: int, _plans: Sequence[Plan]
) -> InferenceEngine:
    from edge_runtime.engines.ort import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, spec, threads=threads)


def _openvino(
    model: Path, spec: ModelSpec, threads: int, _plans: Sequence[Plan]
) -> InferenceEngine:
    from edge_runtime.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, spec, threads=threads)


def _tensorrt(
    _model: Path, spec: ModelSpec, _threads: int, plans: Sequence[Plan]
) -> InferenceEngine:
    from edge_runtime.engines.tensorrt import TensorRtEngine

    return TensorRtEngine(spec, plans=plans)


def _null(_model: Path, spec: ModelSpec, threads: int, _plans: Sequence[Plan]) -> InferenceEngine:
    from edge_runtime.engines.null import NullEngine

    return NullEngine(spec, threads=threads)


ENGINES: dict[str, Opener] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
    "null": _null,
}


def target(name: str) -> Literal["cpu", "tensorrt"]:
    """Which variants the engine of that name runs: `Variant.target`."""
    return "tensorrt" if name == "tensorrt" else "cpu"


def open_engine(
    name: str, model: Path, spec: ModelSpec, threads: int, plans: Sequence[Plan] = ()
) -> InferenceEngine:
    """Load the ONNX file `model` into the engine of that name, using `threads` CPU threads.

    TensorRT does not read the ONNX file but that one of `plans` (`Bundle.plans`) which fits the device.

    Raises EngineError when the name is unknown, the library is not installed, or the model is refused.
    """
    if name not in ENGINES:
        raise EngineError(f"no engine {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name](model, spec, threads, plans)
