"""The choreography of buffers, streams and graphs, on host memory as unkind as a device may be."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_runtime.engines.device_memory.base import Event
from edge_runtime.engines.device_memory.catalogue import open_memory
from edge_runtime.engines.device_memory.host import HostMemory
from edge_runtime.engines.device_runner import DeviceRunner, Enqueue, Prepare, cut, graph_sizes
from edge_runtime.errors import EngineError
from tests.cuda_kernel import CLASSES, answer, load_kernel

FRAME = 12
WIDTHS = (CLASSES, 1)
"""Of the two answers: the kernel's own, and the sum of it."""


def stand_in(memory: HostMemory) -> Prepare:
    """Prepares stand-in execution contexts, which compute when their stream comes to it."""

    def prepare(size: int, frames: int, answers: Sequence[int]) -> Enqueue:
        def compute() -> None:
            seen = memory.view(frames, size * FRAME).reshape(size, FRAME)
            for rows, address in zip(both(seen), answers, strict=True):
                memory.view(address, rows.nbytes)[:] = rows.reshape(-1).view(np.uint8)

        return lambda stream: memory.enqueue(stream, compute)

    return prepare


def both(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the stand-in answers to frames (N, FRAME)."""
    rows = answer(frames)
    return rows, rows.sum(axis=1, keepdims=True)


def assert_answered(device: DeviceRunner, frames: np.ndarray) -> None:
    """Every frame by its own bytes, in both answers."""
    expected = both(frames.reshape(len(frames), FRAME))
    for seen, right in zip(device.run(frames), expected, strict=True):
        np.testing.assert_array_equal(seen, right)


def runner(ahead: random.Random | None = None, chunk: int = 4) -> DeviceRunner:
    memory = HostMemory(ahead)
    return DeviceRunner(memory, stand_in(memory), frame_bytes=FRAME, widths=WIDTHS, chunk=chunk)


def batch(frames: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, 2, 2, 3), np.uint8)


@given(
    sizes=st.lists(st.integers(1, 19), min_size=1, max_size=4),
    chunk=st.integers(1, 9),
    seed=st.none() | st.integers(0, 2**32),
)
def test_every_frame_is_answered_by_its_own_bytes_whatever_the_device_does_first(
    sizes: list[int], chunk: int, seed: int | None
) -> None:
    device = runner(None if seed is None else random.Random(seed), chunk)
    for turn, size in enumerate(sizes):
        frames = batch(size, turn)
        assert_answered(device, frames)
    device.close()


class _Forgetful(HostMemory):
    """The control: events of its streams are forgotten, as if the runner did not ask for them."""

    def stream(self) -> "_Forgetful._Stream":
        return self._Stream(super().stream())

    class _Stream:
        def __init__(self, stream: object) -> None:
            self._stream = stream

        def __getattr__(self, name: str) -> object:
            return getattr(self._stream, name)

        def wait(self, event: Event) -> None:
            pass


def test_a_computation_that_does_not_wait_for_its_frames_is_seen() -> None:
    memory = _Forgetful()
    device = DeviceRunner(memory, stand_in(memory), frame_bytes=FRAME, widths=WIDTHS, chunk=4)
    frames = batch(4)
    with pytest.raises(AssertionError):
        assert_answered(device, frames)


def test_a_slot_filled_before_its_chunk_is_done_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_runtime.engines.device_runner._SLOTS", 1)
    frames = batch(12)
    device = runner(chunk=4)
    # As many slots as chunks in flight is right, one slot for two in flight is not.
    assert_answered(device, frames)
    device._slots *= 2
    monkeypatch.setattr("edge_runtime.engines.device_runner._SLOTS", 2)
    with pytest.raises(AssertionError):
        assert_answered(device, frames)


def test_every_graph_is_captured_at_the_start_and_none_later() -> None:
    prepared: list[int] = []
    memory = HostMemory()
    make = stand_in(memory)

    def prepare(size: int, frames: int, answers: Sequence[int]) -> Enqueue:
        prepared.append(size)
        return make(size, frames, answers)

    device = DeviceRunner(memory, prepare, frame_bytes=FRAME, widths=WIDTHS, chunk=6)
    assert prepared == [1, 2, 4, 6] * 2
    device.run(batch(17))
    assert len(prepared) == 8


def test_while_one_chunk_computes_the_next_is_uploaded() -> None:
    """The order of launches: the second upload is on its stream before the first answer is awaited."""
    told: list[str] = []

    class _Telling(HostMemory):
        def stream(self) -> object:
            stream, number = super().stream(), len(self._streams)

            class _Told:
                def __getattr__(self, name: str) -> object:
                    return getattr(stream, name)

                def upload(self, *arguments: object) -> None:
                    told.append(f"upload on {number}")
                    stream.upload(*arguments)

            return _Told()

        def event(self) -> Event:
            event = super().event()
            wait = event.synchronize

            def synchronize() -> None:
                told.append("await")
                wait()

            event.synchronize = synchronize
            return event

    memory = _Telling()
    device = DeviceRunner(memory, stand_in(memory), frame_bytes=FRAME, widths=WIDTHS, chunk=4)
    told.clear()
    device.run(batch(12))
    assert told == [
        "upload on 1",
        "upload on 1",
        "await",
        "upload on 1",
        "await",
        "await",
    ]


def test_sizes_of_graphs_are_the_powers_of_two_up_to_the_chunk() -> None:
    assert graph_sizes(1) == (1,)
    assert graph_sizes(16) == (1, 2, 4, 8, 16)
    assert graph_sizes(20) == (1, 2, 4, 8, 16, 20)


def test_a_batch_is_cut_into_whole_chunks_and_a_padded_rest() -> None:
    assert list(cut(32, 16)) == [(0, 16, 16), (16, 32, 16)]
    assert list(cut(21, 16)) == [(0, 16, 16), (16, 21, 8)]
    assert list(cut(3, 16)) == [(0, 3, 4)]


def test_a_context_that_cannot_be_prepared_leaves_no_memory_open() -> None:
    memory = HostMemory()

    def refuse(_size: int, _frames: int, _answers: Sequence[int]) -> Enqueue:
        raise EngineError("no context")

    with pytest.raises(EngineError, match="no context"):
        DeviceRunner(memory, refuse, frame_bytes=FRAME, widths=WIDTHS)
    with pytest.raises(EngineError, match="closed"), memory.current():
        pass


def test_after_a_failed_batch_the_next_one_is_right() -> None:
    memory = HostMemory()
    fail = [False]
    device = DeviceRunner(memory, stand_in(memory), frame_bytes=FRAME, widths=WIDTHS, chunk=4)
    whole = device._send

    def send(*arguments: object) -> None:
        if fail[0] and len(device._waiting) == 1:
            raise EngineError("the device fell off the bus")
        whole(*arguments)

    device._send = send
    fail[0] = True
    with pytest.raises(EngineError, match="fell off"):
        device.run(batch(12, 1))
    fail[0] = False
    frames = batch(12, 2)
    assert_answered(device, frames)


def test_pageable_memory_and_copies_out_of_bounds_are_refused() -> None:
    memory = HostMemory()
    stream, address = memory.stream(), memory.allocate(8)
    with pytest.raises(EngineError, match="pinned"):
        stream.upload(address, np.zeros(8, np.uint8))
    with pytest.raises(EngineError, match=r"9 bytes at .* out of bounds: 8 bytes"):
        stream.upload(address, memory.pinned(9))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["cuda-python", "pycuda"])
def test_on_a_gpu_every_frame_is_answered_by_its_own_bytes(name: str) -> None:
    frame = 96 * 96 * 3
    try:
        memory = open_memory(0, name)
    except EngineError as exc:
        pytest.skip(f"{name}: {exc}")
    with memory.current():
        launch = load_kernel()

    def prepare(size: int, frames: int, answers: Sequence[int]) -> Enqueue:
        return lambda stream: launch(stream, frames, answers[0], size, frame)

    device = DeviceRunner(memory, prepare, frame_bytes=frame, widths=(CLASSES,), chunk=8)
    for seed, size in enumerate([1, 3, 8, 9, 32, 64, 50, 7, 64] * 20):
        frames = np.random.default_rng(seed).integers(0, 256, (size, 96, 96, 3), np.uint8)
        np.testing.assert_allclose(device.run(frames)[0], answer(frames), rtol=1e-6)
    device.close()
