"""TensorRT 10.1 and later, 11 included, on NVIDIA GPUs: the extra `tensorrt`.

Loads the plan that was built for this device; builds none (`optimize validate` does). Frames go to the
device as uint8: normalisation stands in the graph.
"""

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import Inference
from edge_runtime.engines.device_memory.base import DeviceMemory
from edge_runtime.engines.device_memory.catalogue import open_memory
from edge_runtime.engines.device_runner import CHUNK, DeviceRunner, Enqueue
from edge_runtime.engines.plans import REBUILD, Plan, choose_plan
from edge_runtime.engines.tensors import FEATURES, check_batch, checked
from edge_runtime.errors import EngineError

try:
    import tensorrt as trt
except ImportError as exc:
    raise EngineError(
        "the engine tensorrt is not installed: pip install 'edge-inspect[tensorrt]' on a machine with "
        "an NVIDIA GPU; the engines onnxruntime and openvino run on any"
    ) from exc

VERSION: str = trt.__version__
"""Of the library: a plan is loaded by the version that built it and by no other."""


class TensorRtEngine:
    """Prefer it wherever there is an NVIDIA GPU; the variant must be one made for TensorRT."""

    def __init__(
        self,
        spec: ModelSpec,
        *,
        plans: Sequence[Plan],
        memory: DeviceMemory | None = None,
        chunk: int = CHUNK,
    ) -> None:
        """`plans` are those recorded for the variant, of whatever devices.

        `memory` is taken over; by default it is the first GPU. `chunk` bounds how many frames are
        computed together, see `device_runner`.
        """
        self._spec = spec
        self._runner: DeviceRunner | None = None
        memory = memory or open_memory(0)
        try:
            with memory.current():
                facts = memory.facts
                plan = choose_plan(
                    plans,
                    device=facts.name,
                    compute_capability=facts.compute_capability,
                    tensorrt=VERSION,
                )
                self._loaded = _LoadedPlan(plan, memory, spec)
        except BaseException:
            memory.close()
            raise
        size = spec.input
        self._runner = DeviceRunner(
            memory,
            self._loaded.prepare,
            frame_bytes=prod((size.height, size.width, 3)),
            widths=self._loaded.widths,
            chunk=min(chunk, self._loaded.largest),
        )

    @property
    def name(self) -> str:
        return f"tensorrt {VERSION}"

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        check_batch(batch, self._spec)
        if self._runner is None:
            raise EngineError("the engine is closed")
        logits, *rest = self._runner.run(batch)
        return checked(logits, rest[0] if rest else None, len(batch), self._spec)

    def close(self) -> None:
        if self._runner is not None:
            # Contexts and engine go before the memory that they were given.
            self._loaded.release()
            self._runner.close()
            self._runner = None


class _LoadedPlan:
    """A deserialised engine with one execution context per captured graph.

    A graph holds the state of the context that it was captured from, so none is used twice. All contexts
    run on one stream, one after the other, and share one block of activation memory.
    """

    def __init__(self, plan: Plan, memory: DeviceMemory, spec: ModelSpec) -> None:
        self._shape = (spec.input.height, spec.input.width, 3)
        self._contexts: list[Any] = []
        self._logger = trt.Logger(trt.Logger.ERROR)
        self._runtime = trt.Runtime(self._logger)
        self._engine = self._runtime.deserialize_cuda_engine(_checked_bytes(plan))
        if self._engine is None:
            raise EngineError(f"TensorRT {VERSION} refuses {plan.file}: {REBUILD}")
        self._frames, self._answers = self._find_tensors(plan, spec)
        self.widths = [int(self._engine.get_tensor_shape(name)[1]) for name in self._answers]
        """Floats per frame of each answer, the logits first."""
        profile = self._engine.get_tensor_profile_shape(self._frames, 0)
        self.largest = int(profile[2][0])
        """Frames per inference at most, as the plan was built."""
        self._scratch_bytes = max(int(self._engine.device_memory_size_v2), 1)
        self._scratch = memory.allocate(self._scratch_bytes)

    def prepare(self, size: int, frames: int, answers: Sequence[int]) -> Enqueue:
        """How a batch of `size` from the address `frames` to the addresses `answers` is enqueued."""
        context = self._engine.create_execution_context(
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        if context is None:
            raise EngineError("TensorRT gives no execution context: is the device's memory full?")
        context.set_device_memory(self._scratch, self._scratch_bytes)
        ready = (
            context.set_input_shape(self._frames, (size, *self._shape))
            and context.set_tensor_address(self._frames, frames)
            and all(map(context.set_tensor_address, self._answers, answers))
        )
        if not ready:
            raise EngineError(f"the plan does not take a batch of {size}: {REBUILD}")
        self._contexts.append(context)

        def enqueue(stream: int) -> None:
            if not context.execute_async_v3(stream):
                raise EngineError("TensorRT failed to run the engine; its log says why")

        return enqueue

    def release(self) -> None:
        """Let go of contexts, engine and runtime, in that order."""
        self._contexts.clear()
        del self._engine, self._runtime

    def _find_tensors(self, plan: Plan, spec: ModelSpec) -> tuple[str, tuple[str, ...]]:
        """Names of the input and of the outputs, the logits first, checked.

        Raises EngineError when they are not what a model has.
        """
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        modes = {name: engine.get_tensor_mode(name) for name in names}
        inputs = [name for name in names if modes[name] == trt.TensorIOMode.INPUT]
        outputs = [name for name in names if modes[name] == trt.TensorIOMode.OUTPUT]
        outputs.sort(key=lambda name: name == FEATURES)
        seen = ", ".join(
            f"{name}: {engine.get_tensor_dtype(name)} {tuple(engine.get_tensor_shape(name))}"
            for name in names
        )
        fits = (
            len(inputs) == 1 <= len(outputs)
            and outputs[1:] in ([], [FEATURES])
            and engine.get_tensor_dtype(inputs[0]) == trt.DataType.UINT8
            and tuple(engine.get_tensor_shape(inputs[0]))[1:] == self._shape
            and all(engine.get_tensor_dtype(name) == trt.DataType.FLOAT for name in outputs)
            and all(len(engine.get_tensor_shape(name)) == 2 for name in outputs)
            and engine.get_tensor_shape(outputs[0])[1] == len(spec.labels)
        )
        if not fits:
            raise EngineError(
                f"{plan.file} must take uint8 (N, {', '.join(map(str, self._shape))}) and answer "
                f"float32 (N, {len(spec.labels)}); it has {seen}"
            )
        return inputs[0], tuple(outputs)


def _checked_bytes(plan: Plan) -> bytes:
    try:
        data = plan.file.read_bytes()
    except OSError as exc:
        raise EngineError(f"{plan.file} cannot be read ({exc.strerror}): {REBUILD}") from exc
    digest = hashlib.sha256(data).hexdigest()
    if digest != plan.sha256:
        raise EngineError(
            f"{plan.file} has the sha256 {digest[:12]}..., recorded is {plan.sha256[:12]}...: {REBUILD}"
        )
    return data
