"""CUDA through cuda-python, the vendor's own wheels: the default device memory."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edge_runtime.engines.device_memory.base import Bytes, DeviceFacts, Event, Graph, Stream
from edge_runtime.errors import EngineError

try:
    from cuda.bindings import runtime as cudart
except ImportError as exc:
    raise EngineError("cuda-python is not installed: pip install 'edge-inspect[tensorrt]'") from exc


class _CudaEvent:
    def __init__(self) -> None:
        # Without timing an event costs the stream the least.
        (self.event,) = _call(cudart.cudaEventCreateWithFlags(cudart.cudaEventDisableTiming))

    def synchronize(self) -> None:
        _call(cudart.cudaEventSynchronize(self.event))


class _CudaGraph:
    def __init__(self, executable: Any, stream: Any) -> None:
        self.executable = executable
        self._stream = stream

    def launch(self) -> None:
        _call(cudart.cudaGraphLaunch(self.executable, self._stream))


class _CudaStream:
    def __init__(self) -> None:
        (self.stream,) = _call(cudart.cudaStreamCreateWithFlags(cudart.cudaStreamNonBlocking))
        self.graphs: list[_CudaGraph] = []

    @property
    def handle(self) -> int:
        return int(self.stream)

    def upload(self, address: int, source: Bytes) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        pointer = int(source.ctypes.data)
        _call(cudart.cudaMemcpyAsync(address, pointer, source.nbytes, kind, self.stream))

    def download(self, target: Bytes, address: int) -> None:
        kind = cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        pointer = int(target.ctypes.data)
        _call(cudart.cudaMemcpyAsync(pointer, address, target.nbytes, kind, self.stream))

    def record(self, event: Event) -> None:
        _call(cudart.cudaEventRecord(_ours(event).event, self.stream))

    def wait(self, event: Event) -> None:
        _call(cudart.cudaStreamWaitEvent(self.stream, _ours(event).event, 0))

    def capture(self, work: Callable[[], None]) -> Graph:
        # Of this thread alone: what other threads ask of CUDA meanwhile must not break the capture.
        mode = cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        _call(cudart.cudaStreamBeginCapture(self.stream, mode))
        try:
            work()
        except BaseException:
            cudart.cudaStreamEndCapture(self.stream)
            raise
        (graph,) = _call(cudart.cudaStreamEndCapture(self.stream))
        try:
            (executable,) = _call(cudart.cudaGraphInstantiate(graph, 0))
        finally:
            _call(cudart.cudaGraphDestroy(graph))
        self.graphs.append(_CudaGraph(executable, self.stream))
        return self.graphs[-1]


class CudaPythonMemory:
    """A CUDA device; its context is the one that TensorRT and torch use in the same process."""

    def __init__(self, index: int = 0) -> None:
        self._index = index
        self._device: list[int] = []
        self._pinned: list[int] = []
        self._streams: list[_CudaStream] = []
        self._events: list[_CudaEvent] = []
        self._closed = False
        (count,) = _call(cudart.cudaGetDeviceCount())
        if index >= count:
            raise EngineError(f"no CUDA device {index}: this machine has {count}, counted from 0")
        with self.current():
            (properties,) = _call(cudart.cudaGetDeviceProperties(index))
            (driver,) = _call(cudart.cudaDriverGetVersion())
        self._facts = DeviceFacts(
            name=bytes(properties.name).partition(b"\0")[0].decode(),
            compute_capability=f"{properties.major}.{properties.minor}",
            cuda=f"{driver // 1000}.{driver % 1000 // 10}",
        )

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @contextmanager
    def current(self) -> Iterator[None]:
        if self._closed:
            raise EngineError("the device memory is closed")
        # The choice is per thread, and a thread that never chose has device 0.
        _call(cudart.cudaSetDevice(self._index))
        yield

    def allocate(self, size: int) -> int:
        (pointer,) = _call(cudart.cudaMalloc(size))
        self._device.append(int(pointer))
        return int(pointer)

    def pinned(self, size: int) -> Bytes:
        (pointer,) = _call(cudart.cudaHostAlloc(size, cudart.cudaHostAllocDefault))
        self._pinned.append(int(pointer))
        array: Bytes = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(int(pointer)))
        return array

    def stream(self) -> Stream:
        self._streams.append(_CudaStream())
        return self._streams[-1]

    def event(self) -> Event:
        self._events.append(_CudaEvent())
        return self._events[-1]

    def close(self) -> None:
        if self._closed:
            return
        with self.current():
            for stream in self._streams:
                _call(cudart.cudaStreamSynchronize(stream.stream))
            for stream in self._streams:
                for graph in stream.graphs:
                    _call(cudart.cudaGraphExecDestroy(graph.executable))
                _call(cudart.cudaStreamDestroy(stream.stream))
            for event in self._events:
                _call(cudart.cudaEventDestroy(event.event))
            for pointer in self._device:
                _call(cudart.cudaFree(pointer))
            for pointer in self._pinned:
                _call(cudart.cudaFreeHost(pointer))
        self._closed = True


def _call(result: tuple[Any, ...]) -> tuple[Any, ...]:
    """What the call gave beside its error code; raises EngineError when that is not success."""
    code, *values = result
    if code == cudart.cudaError_t.cudaSuccess:
        return tuple(values)
    _, text = cudart.cudaGetErrorString(code)
    said = text.decode() if isinstance(text, bytes) else str(text)
    raise EngineError(f"CUDA refuses: {said} ({code.name}); `nvidia-smi` shows device and driver")


def _ours(event: Event) -> _CudaEvent:
    if not isinstance(event, _CudaEvent):
        raise EngineError(f"an event of another device memory: {event!r}")
    return event
