"""The GPU and the library on which `validate` builds and runs engines: the seam, and the genuine one."""

from pathlib import Path
from typing import Protocol

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.device_memory.base import DeviceFacts
from edge_runtime.engines.device_memory.catalogue import open_memory
from edge_runtime.engines.plans import Plan
from optimize.tensorrt import nvidia_smi, plan
from optimize.tensorrt.nvidia_smi import DriverFacts


class Workbench(Protocol):
    """A device with a library that builds engines for it."""

    @property
    def facts(self) -> DeviceFacts:
        """Of the device."""
        ...

    @property
    def tensorrt(self) -> str:
        """The library's version."""
        ...

    def build(self, model: Path) -> bytes:
        """A plan from an ONNX file; raises ModelError when it cannot be built."""
        ...

    def open(self, built: Plan, spec: ModelSpec) -> InferenceEngine:
        """The engine of a plan that was built here; raises EngineError when it is refused."""
        ...

    def ask_driver(self) -> DriverFacts:
        """Driver version, and the clocks at this moment."""
        ...


class TensorRtWorkbench:
    """TensorRT on the CUDA device of that index."""

    def __init__(self, index: int) -> None:
        """Raises EngineError when there is no TensorRT or no such device."""
        from edge_runtime.engines.tensorrt import VERSION, TensorRtEngine

        self._version, self._engine = VERSION, TensorRtEngine
        self._index = index
        memory = open_memory(index)
        self._facts = memory.facts
        memory.close()

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @property
    def tensorrt(self) -> str:
        return self._version

    def build(self, model: Path) -> bytes:
        memory = open_memory(self._index)
        try:
            with memory.current():
                return plan.build_plan(model, plan.timing_cache(self._facts.name, self.tensorrt))
        finally:
            memory.close()

    def open(self, built: Plan, spec: ModelSpec) -> InferenceEngine:
        return self._engine(spec, plans=[built], memory=open_memory(self._index))

    def ask_driver(self) -> DriverFacts:
        return nvidia_smi.ask_driver(self._index, self._facts.name)
