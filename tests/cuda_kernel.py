"""A stand-in for a model on a CUDA GPU: a kernel that sums each third of a frame."""

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

CLASSES = 3

_SOURCE = b"""
extern "C" __global__ void answer(const unsigned char *frames, float *logits, int size, int third) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= 3 * size) return;
    float sum = 0;
    for (int k = 0; k < third; ++k) sum += frames[i * third + k];
    logits[i] = sum;
}
"""


def answer(frames: np.ndarray) -> np.ndarray:
    """What the kernel says of frames (N, ...) uint8: (N, 3) float32."""
    sums: np.ndarray = frames.reshape(len(frames), CLASSES, -1).sum(axis=2)
    return sums.astype(np.float32)


def compile_kernel() -> bytes:
    """The kernel's PTX; needs the compiler library and no GPU. Skips the test where that is missing."""
    nvrtc = pytest.importorskip("cuda.bindings.nvrtc")
    success = nvrtc.nvrtcResult.NVRTC_SUCCESS
    try:
        error, program = nvrtc.nvrtcCreateProgram(_SOURCE, b"answer.cu", 0, [], [])
    except RuntimeError as exc:
        pytest.skip(f"no NVRTC library: {exc}")
    assert error == success
    (error,) = nvrtc.nvrtcCompileProgram(program, 1, [b"--gpu-architecture=compute_75"])
    assert error == success
    error, size = nvrtc.nvrtcGetPTXSize(program)
    ptx = b" " * size
    (error,) = nvrtc.nvrtcGetPTX(program, ptx)
    assert error == success
    return ptx


def load_kernel() -> Callable[[int, int, int, int, int], None]:
    """`launch(stream, frames, logits, size, frame_bytes)`; a device must be current, now and then."""
    from cuda.bindings import driver

    success = driver.CUresult.CUDA_SUCCESS
    error, module = driver.cuModuleLoadData(compile_kernel())
    assert error == success
    error, function = driver.cuModuleGetFunction(module, b"answer")
    assert error == success

    def launch(stream: int, frames: int, logits: int, size: int, frame_bytes: int) -> None:
        values = (frames, logits, size, frame_bytes // CLASSES)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
        blocks = (CLASSES * size + 255) // 256
        (error,) = driver.cuLaunchKernel(
            function, blocks, 1, 1, 256, 1, 1, 0, stream, (values, kinds), 0
        )
        assert error == success

    return launch
