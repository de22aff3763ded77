"""A module that stands in for `tensorrt`: its plans are ONNX files, its GPU is `HostMemory`.

With it the engine's own code runs where there is no TensorRT. It has nothing but the names that the
engine uses; that the genuine module has them too is held by tests/optimize/tensorrt/test_api.py.
"""

import enum
import importlib
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from google.protobuf.message import DecodeError

from edge_runtime.engines.device_memory.host import HostMemory
from edge_runtime.engines.tensors import FEATURE_MAP

VERSION = "10.16.1.11"
LARGEST = 32
NUMPY = {"UINT8": np.uint8, "FLOAT": np.float32, "HALF": np.float16}
_ORT = {"tensor(uint8)": "UINT8", "tensor(float)": "FLOAT", "tensor(float16)": "HALF"}


class DataType(enum.Enum):
    UINT8 = 1
    FLOAT = 2
    HALF = 3


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class ExecutionContextAllocationStrategy(enum.Enum):
    STATIC = 0
    USER_MANAGED = 2


class Logger:
    ERROR = 1

    def __init__(self, severity: int) -> None:
        assert severity == self.ERROR


class StandIn(ModuleType):
    """The module; `memory` is where its contexts read and write."""

    def __init__(self, memory: HostMemory, version: str = VERSION) -> None:
        super().__init__("tensorrt")
        self.memory = memory
        self.__version__ = version
        self.DataType, self.TensorIOMode, self.Logger = DataType, TensorIOMode, Logger
        self.ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy
        self.contexts = 0
        stand_in = self

        class Runtime:
            def __init__(self, logger: Logger) -> None:
                assert isinstance(logger, Logger)

            def deserialize_cuda_engine(self, plan: bytes) -> "_Engine | None":
                try:
                    return _Engine(stand_in, ort.InferenceSession(plan))
                except Exception:  # noqa: BLE001 - the genuine one answers None whatever is wrong
                    return None

        self.Runtime = Runtime


class _Engine:
    device_memory_size_v2 = 512

    def __init__(self, module: StandIn, session: Any) -> None:
        self._module, self.session = module, session
        self._nodes = [*session.get_inputs(), *session.get_outputs()]
        self.num_io_tensors = len(self._nodes)

    def _node(self, name: str) -> Any:
        return next(node for node in self._nodes if node.name == name)

    def get_tensor_name(self, index: int) -> str:
        return str(self._nodes[index].name)

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        inputs = [node.name for node in self.session.get_inputs()]
        return TensorIOMode.INPUT if name in inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType[_ORT[self._node(name).type]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return tuple(-1 if isinstance(side, str) else side for side in self._node(name).shape)

    def get_tensor_profile_shape(self, name: str, profile: int) -> list[tuple[int, ...]]:
        assert profile == 0
        rest = self.get_tensor_shape(name)[1:]
        return [(1, *rest), (LARGEST, *rest), (LARGEST, *rest)]

    def create_execution_context(self, strategy: ExecutionContextAllocationStrategy) -> "_Context":
        assert strategy is ExecutionContextAllocationStrategy.USER_MANAGED
        self._module.contexts += 1
        return _Context(self._module.memory, self)


class _Context:
    def __init__(self, memory: HostMemory, engine: _Engine) -> None:
        self._memory, self._engine = memory, engine
        self._shape: tuple[int, ...] = ()
        self._addresses: dict[str, int] = {}
        self._scratch = False

    def set_device_memory(self, address: int, size: int) -> None:
        assert size >= self._engine.device_memory_size_v2
        self._memory.view(address, size)
        self._scratch = True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert self._engine.get_tensor_mode(name) is TensorIOMode.INPUT
        self._shape = shape
        return 1 <= shape[0] <= LARGEST

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        assert self._scratch
        self._memory.enqueue(stream, self._compute)
        return True

    def _compute(self) -> None:
        session = self._engine.session
        source = session.get_inputs()[0].name
        targets = [node.name for node in session.get_outputs()]
        size = int(np.prod(self._shape))
        frames = self._memory.view(self._addresses[source], size).reshape(self._shape)
        for target, rows in zip(targets, session.run(targets, {source: frames}), strict=True):
            written = self._memory.view(self._addresses[target], rows.nbytes)
            written[:] = np.ascontiguousarray(rows).reshape(-1).view(np.uint8)


def engine_module(
    monkeypatch: pytest.MonkeyPatch, memory: HostMemory, version: str = VERSION
) -> tuple[Any, StandIn]:
    """`edge_runtime.engines.tensorrt` as it is where TensorRT is installed, and the stand-in itself."""
    module = StandIn(memory, version)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    monkeypatch.delitem(sys.modules, "edge_runtime.engines.tensorrt", raising=False)
    engine = importlib.import_module("edge_runtime.engines.tensorrt")
    # Whatever was imported with the stand-in goes when the test is over.
    monkeypatch.setitem(sys.modules, "edge_runtime.engines.tensorrt", engine)
    monkeypatch.setattr(engine, "open_memory", lambda _index: memory)
    return engine, module


def plan_bytes(model: Path) -> bytes:
    """A plan of the stand-in: the ONNX file's bytes, less the output that files for TensorRT lack."""
    data = model.read_bytes()
    with suppress(DecodeError):  # what is no model is refused when it is loaded
        proto = onnx.load_model_from_string(data)
        kept = [value for value in proto.graph.output if value.name != FEATURE_MAP]
        del proto.graph.output[:]
        proto.graph.output.extend(kept)
        data = proto.SerializeToString()
    return data


def write_plan(model: Path, plan: Path) -> bytes:
    """Write such a plan, and what was written."""
    data = plan_bytes(model)
    plan.write_bytes(data)
    return data
