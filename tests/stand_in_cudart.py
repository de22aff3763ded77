"""A CUDA runtime without a device, for the lines of the adapter that would otherwise never have run.

Functions answer as those of `cuda.bindings.runtime` do, a tuple that begins with the error code; enums
are the genuine ones. Work is done by the lazy streams of `HostMemory`. That the genuine functions have
these names and take as many arguments is held by tests/optimize/tensorrt/test_api.py.
"""

import ctypes
from types import SimpleNamespace
from typing import Any

import numpy as np

from edge_runtime.engines.device_memory.host import HostMemory


class StandInCudart:
    """One device of compute capability 7.5; `fail` makes the function of that name fail."""

    def __init__(self, genuine: Any, memory: HostMemory | None = None) -> None:
        self._genuine = genuine
        self.memory = memory or HostMemory()
        self.fail = ""
        self.freed: list[str] = []
        self._keep: dict[int, Any] = {}

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("cuda") and name == self.fail:
            code = self._genuine.cudaError_t.cudaErrorMemoryAllocation
            return lambda *_arguments: (code, None)
        return object.__getattribute__(self, name)

    def __getattr__(self, name: str) -> Any:
        """Enums and constants are the genuine ones."""
        if name.endswith(("Destroy", "Free", "FreeHost")):
            return lambda *_arguments: self._well(self.freed.append(name))
        value = getattr(self._genuine, name)
        assert isinstance(value, int | type) or name == "cudaGetErrorString", name
        return value

    def _well(self, *values: Any) -> tuple[Any, ...]:
        given = [value for value in values if value is not None]
        return (self._genuine.cudaError_t.cudaSuccess, *given)

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:  # noqa: N802 - the library's names
        return self._well(1)

    def cudaSetDevice(self, index: int) -> tuple[Any, ...]:  # noqa: N802
        assert index == 0
        return self._well()

    def cudaGetDeviceProperties(self, index: int) -> tuple[Any, ...]:  # noqa: N802
        assert index == 0
        return self._well(SimpleNamespace(name=b"Stand-in\0\0\0", major=7, minor=5))

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:  # noqa: N802
        return self._well(12080)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:  # noqa: N802
        return self._well(self.memory.allocate(size))

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:  # noqa: N802
        assert flags == self._genuine.cudaHostAllocDefault
        array = self.memory.pinned(size)
        self._keep[int(array.ctypes.data)] = array
        return self._well(int(array.ctypes.data))

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[Any, ...]:  # noqa: N802
        assert flags == self._genuine.cudaStreamNonBlocking
        stream = self.memory.stream()
        self._keep[stream.handle] = stream
        return self._well(stream.handle)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        event = self.memory.event()
        self._keep[stream].record(event)
        return self._well(event.synchronize())

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[Any, ...]:  # noqa: N802
        assert flags == self._genuine.cudaEventDisableTiming
        return self._well(self.memory.event())

    def cudaEventRecord(self, event: Any, stream: int) -> tuple[Any, ...]:  # noqa: N802
        return self._well(self._keep[stream].record(event))

    def cudaEventSynchronize(self, event: Any) -> tuple[Any, ...]:  # noqa: N802
        return self._well(event.synchronize())

    def cudaStreamWaitEvent(self, stream: int, event: Any, flags: int) -> tuple[Any, ...]:  # noqa: N802
        assert flags == 0
        return self._well(self._keep[stream].wait(event))

    def cudaMemcpyAsync(  # noqa: N802
        self, target: int, source: int, count: int, kind: Any, stream: int
    ) -> tuple[Any, ...]:
        kinds = self._genuine.cudaMemcpyKind
        host = source if kind == kinds.cudaMemcpyHostToDevice else target
        array = np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(host))
        if kind == kinds.cudaMemcpyHostToDevice:
            return self._well(self._keep[stream].upload(target, array))
        assert kind == kinds.cudaMemcpyDeviceToHost
        return self._well(self._keep[stream].download(array, source))

    def cudaStreamBeginCapture(self, stream: int, mode: Any) -> tuple[Any, ...]:  # noqa: N802
        assert mode == self._genuine.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        return self._well(self._keep[stream].begin_capture())

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:  # noqa: N802
        return self._well(self._keep[stream].end_capture())

    def cudaGraphInstantiate(self, graph: Any, flags: int) -> tuple[Any, ...]:  # noqa: N802
        assert flags == 0
        return self._well(graph)

    def cudaGraphLaunch(self, executable: Any, _stream: int) -> tuple[Any, ...]:  # noqa: N802
        return self._well(executable.launch())
