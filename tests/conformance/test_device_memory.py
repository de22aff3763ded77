"""Every device memory keeps the same promises, the host-memory fake included."""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import closing

import numpy as np
import pytest

from edge_runtime.engines.device_memory.base import DeviceMemory
from edge_runtime.engines.device_memory.catalogue import MEMORIES, open_memory
from edge_runtime.errors import EngineError

SIZE = 4096
GPU = [name for name in MEMORIES if name != "host"]


@pytest.fixture(
    params=["host", *(pytest.param(name, marks=pytest.mark.gpu) for name in sorted(GPU))]
)
def memory(request: pytest.FixtureRequest) -> Iterator[DeviceMemory]:
    try:
        opened = open_memory(0, request.param)
    except EngineError as exc:
        assert request.param != "host"
        pytest.skip(f"{request.param}: {exc}")
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


KERNEL = b"""
extern "C" __global__ void double_it(unsigned char *bytes, int count) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) bytes[i] = 2 * bytes[i];
}
"""


def compile_kernel() -> bytes:
    """PTX of the stand-in kernel; needs the compiler library and no GPU."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc")
    try:
        error, program = nvrtc.nvrtcCreateProgram(KERNEL, b"double.cu", 0, [], [])
    except RuntimeError as exc:
        pytest.skip(f"no NVRTC library: {exc}")
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
    (error,) = nvrtc.nvrtcCompileProgram(program, 1, [b"--gpu-architecture=compute_75"])
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
    error, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = b" " * size
    (error,) = nvrtc.nvrtcGetPTX(program, ptx)
    assert error == nvrtc.nvrtcResult.NVRTC_SUCCESS
    return ptx


def test_the_stand_in_kernel_compiles() -> None:
    assert b".entry double_it" in compile_kernel()


def load_kernel() -> Callable[[int, int, int], None]:
    """Launches the kernel: `launch(stream_handle, address, count)`; the device must be current."""
    from cuda.bindings import driver

    error, module = driver.cuModuleLoadData(compile_kernel())
    assert error == driver.CUresult.CUDA_SUCCESS
    error, function = driver.cuModuleGetFunction(module, b"double_it")
    assert error == driver.CUresult.CUDA_SUCCESS

    def launch(stream: int, address: int, count: int) -> None:
        values, kinds = (address, count), (ctypes.c_void_p, ctypes.c_int)
        blocks = (count + 255) // 256
        (error,) = driver.cuLaunchKernel(
            function, blocks, 1, 1, 256, 1, 1, 0, stream, (values, kinds), 0
        )
        assert error == driver.CUresult.CUDA_SUCCESS

    return launch


@pytest.mark.gpu
@pytest.mark.parametrize("name", sorted(GPU))
def test_a_kernel_between_the_copies_runs_in_the_graph(name: str) -> None:
    try:
        opened = open_memory(0, name)
    except EngineError as exc:
        pytest.skip(f"{name}: {exc}")
    with closing(opened) as memory, memory.current():
        double = load_kernel()
        stream, event, address = memory.stream(), memory.event(), memory.allocate(SIZE)
        sent, received = memory.pinned(SIZE), memory.pinned(SIZE)

        def work() -> None:
            stream.upload(address, sent)
            double(stream.handle, address, SIZE)
            stream.download(received, address)

        graph = stream.capture(work)
        for seed in range(3):
            sent[:] = numbers(seed)
            graph.launch()
            stream.record(event)
            event.synchronize()
            np.testing.assert_array_equal(received, numbers(seed) * 2)
