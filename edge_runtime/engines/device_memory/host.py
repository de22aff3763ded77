"""Host memory that behaves like a device's: for trying out what uses streams where there is no GPU.

Its streams are lazy. Work waits in its queue until somebody synchronises with an event behind it, which
is the latest that a device might do it; with `ahead` it is done at times chosen by chance within what
order and events allow. Code that forgot an event or touches a buffer too early therefore gets wrong
bytes here, as it would on a device on a bad day.
"""

import random
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from edge_runtime.engines.device_memory.base import Bytes, DeviceFacts, Event, Graph, Stream
from edge_runtime.errors import EngineError

_GARBAGE = 0xA5
"""What fresh memory holds, so that nobody relies on zeros."""


class _Mark:
    """One recording of an event: done when its stream has come to it."""

    def __init__(self, stream: "_HostStream") -> None:
        self.stream = stream
        self.passed = False

    def reach(self) -> None:
        while not self.passed:
            self.stream.step()

    def passing(self) -> None:
        self.passed = True


class _HostEvent:
    def __init__(self) -> None:
        self.mark: _Mark | None = None

    def synchronize(self) -> None:
        if self.mark is not None:
            self.mark.reach()


class _HostGraph:
    def __init__(self, stream: "_HostStream", steps: tuple[Callable[[], None], ...]) -> None:
        self._stream = stream
        self._steps = steps

    def launch(self) -> None:
        for step in self._steps:
            self._stream.put(step)


class _HostStream:
    def __init__(self, memory: "HostMemory", handle: int) -> None:
        self._memory = memory
        self._handle = handle
        self._queue: deque[Callable[[], None]] = deque()
        self._captured: list[Callable[[], None]] | None = None

    @property
    def handle(self) -> int:
        return self._handle

    @property
    def idle(self) -> bool:
        return not self._queue

    def put(self, step: Callable[[], None]) -> None:
        if self._captured is not None:
            self._captured.append(step)
            return
        self._queue.append(step)
        self._memory.pass_time()

    def step(self) -> None:
        self._queue.popleft()()

    def upload(self, address: int, source: Bytes) -> None:
        self._memory.check_pinned(source)
        target = self._memory.view(address, source.nbytes)

        def copy() -> None:
            target[:] = source.reshape(-1)

        self.put(copy)

    def download(self, target: Bytes, address: int) -> None:
        self._memory.check_pinned(target)
        source = self._memory.view(address, target.nbytes)

        def copy() -> None:
            target.reshape(-1)[:] = source

        self.put(copy)

    def record(self, event: Event) -> None:
        mark = _Mark(self)
        _ours(event).mark = mark
        self.put(mark.passing)

    def wait(self, event: Event) -> None:
        mark = _ours(event).mark
        if mark is not None:
            self.put(mark.reach)

    def capture(self, work: Callable[[], None]) -> Graph:
        self.begin_capture()
        try:
            work()
        finally:
            graph = self.end_capture()
        return graph

    def begin_capture(self) -> None:
        self._captured = []

    def end_capture(self) -> Graph:
        steps, self._captured = self._captured or [], None
        return _HostGraph(self, tuple(steps))


class HostMemory:
    """`DeviceMemory` without a device. `ahead` decides by chance what is done before it must be."""

    def __init__(self, ahead: random.Random | None = None) -> None:
        self._ahead = ahead
        self._device: dict[int, Bytes] = {}
        self._pinned: list[Bytes] = []
        self._streams: list[_HostStream] = []
        self._closed = False

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts(name="host memory", compute_capability="0.0", cuda="0.0")

    @contextmanager
    def current(self) -> Iterator[None]:
        if self._closed:
            raise EngineError("the device memory is closed")
        yield

    def allocate(self, size: int) -> int:
        buffer = np.full(size, _GARBAGE, np.uint8)
        address = int(buffer.ctypes.data)
        self._device[address] = buffer
        return address

    def pinned(self, size: int) -> Bytes:
        buffer = np.full(size, _GARBAGE, np.uint8)
        self._pinned.append(buffer)
        return buffer

    def stream(self) -> Stream:
        stream = _HostStream(self, handle=len(self._streams) + 1)
        self._streams.append(stream)
        return stream

    def event(self) -> Event:
        return _HostEvent()

    def close(self) -> None:
        for stream in self._streams:
            while not stream.idle:
                stream.step()
        self._closed = True

    def enqueue(self, handle: int, step: Callable[[], None]) -> None:
        """Put `step` onto the stream of that handle, as a kernel's launch would."""
        self._streams[handle - 1].put(step)

    def view(self, address: int, size: int) -> Bytes:
        """The `size` bytes at `address`; raises EngineError beyond what was allocated there."""
        buffer = self._device.get(address)
        if buffer is None or size > len(buffer):
            held = "nothing" if buffer is None else f"{len(buffer)} bytes"
            raise EngineError(
                f"{size} bytes at {address:#x} are out of bounds: {held} is allocated"
            )
        return buffer[:size]

    def check_pinned(self, array: Bytes) -> None:
        """Raise EngineError unless `array` is contiguous and lies in memory that `pinned` gave."""
        if not array.flags.c_contiguous:
            raise EngineError("a copy to or from the device needs contiguous memory")
        if not any(np.may_share_memory(array, buffer) for buffer in self._pinned):
            raise EngineError("a copy to or from the device needs pinned memory")

    def pass_time(self) -> None:
        """Do some of what waits, by chance; nothing without `ahead`."""
        while self._ahead is not None and self._ahead.random() < 0.5:
            busy = [stream for stream in self._streams if not stream.idle]
            if not busy:
                return
            self._ahead.choice(busy).step()


def _ours(event: Event) -> _HostEvent:
    if not isinstance(event, _HostEvent):
        raise EngineError(f"an event of another device memory: {event!r}")
    return event
