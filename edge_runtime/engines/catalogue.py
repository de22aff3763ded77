"""Which engines there are. The names are the same on every machine, installed or not."""

from collections.abc import Callable
from pathlib import Path

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.errors import EngineError


def _onnxruntime(model: Path, spec: ModelSpec, threads: int) -> InferenceEngine:
    from edge_runtime.engines.ort import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, spec, threads=threads)


def _openvino(model: Path, spec: ModelSpec, threads: int) -> InferenceEngine:
    from edge_runtime.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(model, spec, threads=threads)


def _null(_model: Path, spec: ModelSpec, threads: int) -> InferenceEngine:
    from edge_runtime.engines.null import NullEngine

    return NullEngine(spec, threads=threads)


ENGINES: dict[str, Callable[[Path, ModelSpec, int], InferenceEngine]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "null": _null,
}


def open_engine(name: str, model: Path, spec: ModelSpec, threads: int) -> InferenceEngine:
    """Load the ONNX file `model` into the engine of that name, using `threads` CPU threads.

    Raises EngineError when the name is unknown, the library is not installed, or the model is refused.
    """
    if name not in ENGINES:
        raise EngineError(f"no engine {name!r}; choose one of {', '.join(ENGINES)}")
    return ENGINES[name](model, spec, threads)
