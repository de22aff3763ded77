"""Every device memory keeps the same promises, the host-memory fake included.

Where there is no GPU, the adapter of cuda-python runs on a stand-in for the CUDA runtime.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import numpy as np
import pytest

from edge_runtime.engines.device_memory.base import DeviceMemory
from edge_runtime.engines.device_memory.catalogue import MEMORIES, open_memory
from edge_runtime.engines.device_runner import DeviceRunner
from edge_runtime.errors import EngineError
from tests.cuda_kernel import CLASSES, answer, compile_kernel, load_kernel
from tests.stand_in_cudart import StandInCudart

SIZE = 4096
GPU = [name for name in MEMORIES if name != "host"]
STAND_IN = "cuda-python on a stand-in"


def stand_in_cudart(monkeypatch: pytest.MonkeyPatch) -> StandInCudart:
    cuda_python = pytest.importorskip(
        "edge_runtime.engines.device_memory.cuda_python", exc_type=EngineError
    )
    stand_in = StandInCudart(cuda_python.cudart)
    monkeypatch.setattr(cuda_python, "cudart", stand_in)
    return stand_in


@pytest.fixture(
    params=[
        "host",
        STAND_IN,
        *(pytest.param(name, marks=pytest.mark.gpu) for name in sorted(GPU)),
    ]
)
def memory(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[DeviceMemory]:
    name = request.param
    if name == STAND_IN:
        stand_in_cudart(monkeypatch)
        name = "cuda-python"
    try:
        opened = open_memory(0, name)
    except EngineError as exc:
        assert request.param in GPU
        pytest.skip(f"{name}: {exc}")
    with closing(opened) as memory, memory.current():
        yield memory


def numbers(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, SIZE, np.uint8)


def test_what_goes_up_comes_down_again(memory: DeviceMemory) -> None:
    stream, event, address = memory.stream(), memory.event(), memory.allocate(SIZE)
    sent, received = memory.pinned(SIZE), memory.pinned(SIZE)
    sent[:], received[:] = numbers(), 0
    stream.upload(address, sent)
    stream.download(received, address)
    stream.record(event)
    event.synchronize()
    np.testing.assert_array_equal(received, numbers())


def test_part_of_a_buffer_can_be_copied(memory: DeviceMemory) -> None:
    stream, event, address = memory.stream(), memory.event(), memory.allocate(SIZE)
    sent, received = memory.pinned(SIZE), memory.pinned(SIZE)
    sent[:], received[:] = numbers(), 7
    stream.upload(address, sent[:100])
    stream.download(received[:100], address)
    stream.record(event)
    event.synchronize()
    np.testing.assert_array_equal(received[:100], numbers()[:100])
    assert (received[100:] == 7).all()


def test_a_stream_that_waits_for_an_event_sees_what_was_done_before_it(
    memory: DeviceMemory,
) -> None:
    up, down = memory.stream(), memory.stream()
    arrived, done = memory.event(), memory.event()
    address, sent, received = memory.allocate(SIZE), memory.pinned(SIZE), memory.pinned(SIZE)
    for seed in range(20):
        sent[:] = numbers(seed)
        up.upload(address, sent)
        up.record(arrived)
        down.wait(arrived)
        down.download(received, address)
        down.record(done)
        done.synchronize()
        np.testing.assert_array_equal(received, numbers(seed))


def test_a_captured_graph_runs_only_when_launched_and_as_often_as_asked(
    memory: DeviceMemory,
) -> None:
    stream, event, address = memory.stream(), memory.event(), memory.allocate(SIZE)
    sent, received = memory.pinned(SIZE), memory.pinned(SIZE)
    received[:] = 0

    def work() -> None:
        stream.upload(address, sent)
        stream.download(received, address)

    graph = stream.capture(work)
    stream.record(event)
    event.synchronize()
    assert not received.any()
    for seed in range(3):
        sent[:] = numbers(seed)
        graph.launch()
        stream.record(event)
        event.synchronize()
        np.testing.assert_array_equal(received, numbers(seed))


def test_an_event_that_was_never_recorded_has_nothing_to_wait_for(memory: DeviceMemory) -> None:
    memory.event().synchronize()


def test_streams_have_handles_of_their_own(memory: DeviceMemory) -> None:
    handles = {memory.stream().handle for _ in range(3)}
    assert len(handles) == 3
    assert all(isinstance(handle, int) for handle in handles)


def test_a_device_tells_its_name_and_capability(memory: DeviceMemory) -> None:
    assert memory.facts.name
    assert float(memory.facts.compute_capability) >= 0
    assert float(memory.facts.cuda) >= 0


def test_closing_twice_is_allowed_and_using_it_then_is_an_error(
    request: pytest.FixtureRequest,
) -> None:
    for name in MEMORIES:
        try:
            memory = open_memory(0, name)
        except EngineError:
            continue
        memory.close()
        memory.close()
        with pytest.raises(EngineError, match="closed"), memory.current():
            pass


def test_an_unknown_memory_names_the_choices() -> None:
    with pytest.raises(EngineError, match="choose one of cuda-python, pycuda, host"):
        open_memory(0, "abacus")


def test_a_call_that_the_runtime_refuses_is_one_line_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cudart = stand_in_cudart(monkeypatch)
    with closing(open_memory(0, "cuda-python")) as memory, memory.current():
        cudart.fail = "cudaMalloc"
        with pytest.raises(EngineError, match=r"out of memory \(cudaErrorMemoryAllocation\)"):
            memory.allocate(SIZE)
        cudart.fail = ""


def test_a_device_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_cudart(monkeypatch)
    with pytest.raises(EngineError, match="no CUDA device 1: this machine has 1, counted from 0"):
        open_memory(1, "cuda-python")


def test_all_that_was_given_out_is_released_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cudart = stand_in_cudart(monkeypatch)
    memory = open_memory(0, "cuda-python")
    with memory.current():
        stream = memory.stream()
        stream.capture(lambda: None)
        memory.allocate(SIZE), memory.pinned(SIZE), memory.event()
    memory.close()
    memory.close()
    assert sorted(cudart.freed) == [
        "cudaEventDestroy",
        "cudaFree",
        "cudaFreeHost",
        "cudaGraphDestroy",
        "cudaGraphExecDestroy",
        "cudaStreamDestroy",
    ]


def test_batches_run_through_the_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    cudart = stand_in_cudart(monkeypatch)

    def prepare(size: int, frames: int, answers: Sequence[int]) -> Callable[[int], None]:
        def compute() -> None:
            seen = cudart.memory.view(frames, size * 4).reshape(size, 4)
            sums = seen.sum(axis=1, dtype=np.float32)
            cudart.memory.view(answers[0], size * 4)[:] = sums.view(np.uint8)

        return lambda stream: cudart.memory.enqueue(stream, compute)

    runner = DeviceRunner(
        open_memory(0, "cuda-python"), prepare, frame_bytes=4, widths=(1,), chunk=4
    )
    for frames in (1, 3, 8, 11):
        batch = np.random.default_rng(frames).integers(0, 256, (frames, 1, 1, 4), np.uint8)
        np.testing.assert_array_equal(
            runner.run(batch)[0][:, 0], batch.sum(axis=(1, 2, 3), dtype=np.float32)
        )
    runner.close()


def test_the_stand_in_kernel_compiles() -> None:
    assert b".entry answer" in compile_kernel()


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(GPU))
def test_a_kernel_between_the_copies_runs_in_the_graph(name: str) -> None:
    frames, frame = 300, 12
    try:
        opened = open_memory(0, name)
    except EngineError as exc:
        pytest.skip(f"{name}: {exc}")
    with closing(opened) as memory, memory.current():
        launch = load_kernel()
        stream, event = memory.stream(), memory.event()
        source, target = memory.allocate(frames * frame), memory.allocate(frames * CLASSES * 4)
        sent, received = memory.pinned(frames * frame), memory.pinned(frames * CLASSES * 4)

        def work() -> None:
            stream.upload(source, sent)
            launch(stream.handle, source, target, frames, frame)
            stream.download(received, target)

        graph = stream.capture(work)
        for seed in range(3):
            sent[:] = np.random.default_rng(seed).integers(0, 256, len(sent), np.uint8)
            graph.launch()
            stream.record(event)
            event.synchronize()
            expected = answer(sent.reshape(frames, frame))
            np.testing.assert_array_equal(received.view(np.float32), expected.reshape(-1))
