"""CUDA through pycuda, for machines that have it already.

pycuda (2026.1) knows no CUDA graphs: what `capture` is given is enqueued anew at each launch, the same
work at the price of a launch per kernel. Where that counts, take `cuda_python`.
"""

import atexit
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from edge_runtime.engines.device_memory.base import Bytes, DeviceFacts, Event, Graph, Stream
from edge_runtime.errors import EngineError

try:
    import pycuda.driver as cuda
except ImportError as exc:
    raise EngineError(
        "pycuda is not installed: pip install pycuda, which compiles against the CUDA toolkit's cuda.h; "
        "or take cuda-python, which needs no compiler"
    ) from exc


class _PyCudaEvent:
    def __init__(self) -> None:
        self.event: Any = cuda.Event(cuda.event_flags.DISABLE_TIMING)

    def synchronize(self) -> None:
        with _translated():
            self.event.synchronize()


class _Repeated:
    """In place of a graph: the work itself."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work

    def launch(self) -> None:
        self._work()


class _PyCudaStream:
    def __init__(self) -> None:
        self.stream: Any = cuda.Stream(_NON_BLOCKING)

    @property
    def handle(self) -> int:
        return int(self.stream.handle)

    def upload(self, address: int, source: Bytes) -> None:
        with _translated():
            cuda.memcpy_htod_async(address, source, self.stream)

    def download(self, target: Bytes, address: int) -> None:
        with _translated():
            cuda.memcpy_dtoh_async(target, address, self.stream)

    def record(self, event: Event) -> None:
        with _translated():
            _ours(event).event.record(self.stream)

    def wait(self, event: Event) -> None:
        with _translated():
            self.stream.wait_for_event(_ours(event).event)

    def capture(self, work: Callable[[], None]) -> Graph:
        return _Repeated(work)


class PyCudaMemory:
    """A CUDA device; its context is the primary one, which TensorRT uses in the same process."""

    def __init__(self, index: int = 0) -> None:
        with _translated():
            cuda.init()
            count = cuda.Device.count()
            if index >= count:
                raise EngineError(
                    f"no CUDA device {index}: this machine has {count}, counted from 0"
                )
            device = cuda.Device(index)
            major, minor = device.compute_capability()
            driver = cuda.get_driver_version()
            self._facts = DeviceFacts(
                name=device.name(),
                compute_capability=f"{major}.{minor}",
                cuda=f"{driver // 1000}.{driver % 1000 // 10}",
            )
            self._context = _primary_context(index)
        self._device: list[Any] = []
        self._pinned: list[Bytes] = []
        self._streams: list[_PyCudaStream] = []
        self._events: list[_PyCudaEvent] = []
        self._closed = False

    @property
    def facts(self) -> DeviceFacts:
        return self._facts

    @contextmanager
    def current(self) -> Iterator[None]:
        if self._closed:
            raise EngineError("the device memory is closed")
        with _translated():
            self._context.push()
        try:
            yield
        finally:
            cuda.Context.pop()

    def allocate(self, size: int) -> int:
        with _translated():
            self._device.append(cuda.mem_alloc(size))
        return int(self._device[-1])

    def pinned(self, size: int) -> Bytes:
        with _translated():
            array: Bytes = cuda.pagelocked_empty(size, np.uint8)
        self._pinned.append(array)
        return array

    def stream(self) -> Stream:
        with _translated():
            self._streams.append(_PyCudaStream())
        return self._streams[-1]

    def event(self) -> Event:
        with _translated():
            self._events.append(_PyCudaEvent())
        return self._events[-1]

    def close(self) -> None:
        if self._closed:
            return
        with self.current(), _translated():
            # Streams, events and pinned memory go with their last reference, within the context.
            while self._streams:
                self._streams.pop().stream.synchronize()
            while self._device:
                self._device.pop().free()
            self._events.clear()
            self._pinned.clear()
        self._closed = True


_NON_BLOCKING = 1
"""CU_STREAM_NON_BLOCKING of cuda.h, for which pycuda has no name."""


@functools.cache
def _primary_context(index: int) -> Any:
    """Retained once and until the process ends, as the CUDA runtime itself does.

    pycuda (2026.1) cannot let go of it sooner without leaving it current on the thread, and its
    destructor takes it for a context of its own.
    """
    context = cuda.Device(index).retain_primary_context()
    atexit.register(context.detach)
    return context


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except cuda.Error as exc:
        raise EngineError(f"CUDA refuses: {exc}; `nvidia-smi` shows device and driver") from exc


def _ours(event: Event) -> _PyCudaEvent:
    if not isinstance(event, _PyCudaEvent):
        raise EngineError(f"an event of another device memory: {event!r}")
    return event
