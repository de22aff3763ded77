"""The seam between an engine and the library that gives it a device's memory, streams and graphs.

Work given to a stream happens in order and later than the call; two streams know nothing of each other
unless an event ties them. All that a `DeviceMemory` gives out is its own and lives until it is closed.
Raises EngineError wherever the library fails.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFacts:
    """What the device says of itself."""

    name: str
    """`Tesla T4`."""
    compute_capability: str
    """`7.5`."""
    cuda: str
    """The newest CUDA that the driver runs, `12.8`."""


class Event(Protocol):
    """A point in a stream's work."""

    def synchronize(self) -> None:
        """Wait on the host until the work before it is done; at once where it was never recorded."""
        ...


class Graph(Protocol):
    """Work that was captured once and can be put onto its stream again and again."""

    def launch(self) -> None:
        """Put it onto the stream that it was captured on."""
        ...


class Stream(Protocol):
    """A queue of work on the device."""

    @property
    def handle(self) -> int:
        """The `cudaStream_t`, for libraries that enqueue work of their own."""
        ...

    def upload(self, address: int, source: Bytes) -> None:
        """Copy `source`, contiguous and of `pinned` memory, to the device at `address`.

        It is read when the stream comes to it: leave it alone until an event after it has passed.
        """
        ...

    def download(self, target: Bytes, address: int) -> None:
        """Copy as many bytes as `target` has, contiguous and of `pinned` memory, from `address`."""
        ...

    def record(self, event: Event) -> None:
        """Let `event` stand for all that is on the stream by now."""
        ...

    def wait(self, event: Event) -> None:
        """Hold up what comes next on the stream until the event's last recording has passed."""
        ...

    def capture(self, work: Callable[[], None]) -> Graph:
        """The graph of what `work` puts onto this stream; nothing of it is run.

        An adapter whose library has no graphs may call `work` again at each launch.
        """
        ...


class DeviceMemory(Protocol):
    """One device, opened by its constructor, used by one thread at a time, closed exactly once."""

    @property
    def facts(self) -> DeviceFacts:
        """Name, compute capability, CUDA version."""
        ...

    def current(self) -> AbstractContextManager[None]:
        """Make the device current for the calling thread; everything below happens within it."""
        ...

    def allocate(self, size: int) -> int:
        """Address of `size` bytes on the device, aligned to 256; what they hold is not defined."""
        ...

    def pinned(self, size: int) -> Bytes:
        """Page-locked host memory (size,) uint8, which alone is copied while other work goes on."""
        ...

    def stream(self) -> Stream:
        """A new stream that does not wait for the default one."""
        ...

    def event(self) -> Event:
        """A new event."""
        ...

    def close(self) -> None:
        """Wait for all streams, then release everything; arrays of `pinned` are void. Safe to repeat."""
        ...
