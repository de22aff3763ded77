"""Batches through a device: pinned buffers, two streams, one captured graph per batch size.

Owns the choreography and knows no inference library: how work for one batch size is put onto a stream is
handed in. What one thread's call can overlap is this, and no more: a batch is cut into chunks, and while
the device computes one, the host writes the next into pinned memory and the copy stream uploads it. The
first chunk's copies are never hidden; a batch of one chunk overlaps nothing. Answers come back inside
the graph, on the compute stream: on the copy stream they would hold up the next chunk's upload until the
computation before it is done.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.engines.device_memory.base import Bytes, DeviceMemory, Event, Graph
from edge_runtime.errors import EngineError

CHUNK = 16
"""Frames per chunk unless told otherwise: a batch of 32 overlaps half of its copies. Chosen by
reckoning, not yet measured on a device."""
_SLOTS = 2

Enqueue = Callable[[int], None]
"""Puts the inference of one batch size onto the stream of that handle."""
Prepare = Callable[[int, int, Sequence[int]], Enqueue]
"""Given a batch size and the device addresses of frames and of each answer, how that inference is
enqueued."""
Rows = npt.NDArray[np.float32]
"""(frames, width): what one output says of each frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """Where one output of a chunk is written, on the device and in pinned memory."""

    device: int
    host: Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slot:
    """A chunk's buffers; while the device works on one slot, the host fills the other."""

    frames: int
    frames_host: Bytes
    answers: tuple[_Answer, ...]
    arrived: Event
    done: Event
    graphs: dict[int, Graph]
    """By batch size; a graph holds the addresses that it was captured with."""


def graph_sizes(chunk: int) -> tuple[int, ...]:
    """Batch sizes that get a graph: the powers of two below `chunk`, and `chunk` itself."""
    powers = (1 << power for power in range(chunk.bit_length()))
    return (*(size for size in powers if size < chunk), chunk)


def cut(frames: int, chunk: int) -> Iterator[tuple[int, int, int]]:
    """Start, stop and graph size of each chunk of a batch; the last is padded to the next size."""
    for start in range(0, frames, chunk):
        stop = min(start + chunk, frames)
        yield start, stop, next(size for size in graph_sizes(chunk) if size >= stop - start)


class DeviceRunner:
    """Runs batches of any size; used by one thread at a time."""

    def __init__(
        self,
        memory: DeviceMemory,
        prepare: Prepare,
        *,
        frame_bytes: int,
        widths: Sequence[int],
        chunk: int = CHUNK,
    ) -> None:
        """Allocate, warm up and capture everything, so that no batch later pays for it.

        `widths` are the floats per frame of each output. `prepare` is called once per slot and batch
        size and must give what stays valid; each work is enqueued once before it is captured. Takes over
        `memory` and closes it when that fails.
        """
        self._memory = memory
        self._frame_bytes = frame_bytes
        self._widths = tuple(widths)
        self._chunk = chunk
        self._waiting: deque[tuple[_Slot, int, int]] = deque()
        try:
            with memory.current():
                self._copies = memory.stream()
                self._compute = memory.stream()
                self._slots: tuple[_Slot, ...] = tuple(
                    self._make_slot(prepare) for _ in range(_SLOTS)
                )
        except BaseException:
            memory.close()
            raise

    def run(self, batch: npt.NDArray[np.uint8]) -> tuple[Rows, ...]:
        """For each width what that output says of a batch (N >= 1, ...) uint8 of `frame_bytes` each."""
        answers = tuple(np.empty((len(batch), width), np.float32) for width in self._widths)
        frames = np.ascontiguousarray(batch).reshape(len(batch), self._frame_bytes)
        with self._memory.current():
            while self._waiting:  # what a failed batch left behind
                self._waiting.popleft()[0].done.synchronize()
            for turn, (start, stop, size) in enumerate(cut(len(batch), self._chunk)):
                if len(self._waiting) == _SLOTS:
                    self._collect(answers)
                slot = self._slots[turn % _SLOTS]
                self._send(slot, frames[start:stop], size)
                self._waiting.append((slot, start, stop))
            while self._waiting:
                self._collect(answers)
        return answers

    def close(self) -> None:
        """Release the device; safe to call twice."""
        # Some libraries free a buffer with its last reference, which must not outlive the device.
        self._slots = ()
        self._waiting.clear()
        self._memory.close()

    def _send(self, slot: _Slot, frames: Bytes, size: int) -> None:
        # Rows beyond these hold an earlier chunk's frames; their answers are not looked at.
        filled = slot.frames_host[: frames.size]
        filled[:] = frames.reshape(-1)
        self._copies.upload(slot.frames, filled)
        self._copies.record(slot.arrived)
        self._compute.wait(slot.arrived)
        slot.graphs[size].launch()
        self._compute.record(slot.done)

    def _collect(self, answers: tuple[Rows, ...]) -> None:
        slot, start, stop = self._waiting.popleft()
        slot.done.synchronize()
        for rows, answer in zip(answers, slot.answers, strict=True):
            rows[start:stop] = answer.host[: stop - start]

    def _make_slot(self, prepare: Prepare) -> _Slot:
        memory, frame = self._memory, self._frame_bytes
        frames_host = memory.pinned(self._chunk * frame)
        slot = _Slot(
            frames=memory.allocate(self._chunk * frame),
            frames_host=frames_host,
            answers=tuple(self._make_answer(width) for width in self._widths),
            arrived=memory.event(),
            done=memory.event(),
            graphs={},
        )
        frames_host[:] = 0
        self._copies.upload(slot.frames, frames_host)
        self._copies.record(slot.arrived)
        self._compute.wait(slot.arrived)
        for size in graph_sizes(self._chunk):
            enqueue = prepare(size, slot.frames, [answer.device for answer in slot.answers])
            slot.graphs[size] = self._capture(enqueue, size, slot)
        return slot

    def _make_answer(self, width: int) -> _Answer:
        size = self._chunk * width * 4
        host = self._memory.pinned(size).view(np.float32).reshape(self._chunk, width)
        return _Answer(device=self._memory.allocate(size), host=host)

    def _capture(self, enqueue: Enqueue, size: int, slot: _Slot) -> Graph:
        compute = self._compute

        def work() -> None:
            enqueue(compute.handle)
            for answer in slot.answers:
                compute.download(answer.host[:size].reshape(-1).view(np.uint8), answer.device)

        work()  # libraries set themselves up at the first run, which a capture would not survive
        compute.record(slot.done)
        slot.done.synchronize()
        try:
            return compute.capture(work)
        except EngineError as exc:
            raise EngineError(f"the work cannot be captured as a CUDA graph: {exc}") from exc
