"""Which libraries give device memory. The names are the same on every machine, installed or not."""

from collections.abc import Callable
from importlib.util import find_spec

from edge_runtime.engines.device_memory.base import DeviceMemory
from edge_runtime.errors import EngineError


def _cuda_python(index: int) -> DeviceMemory:
    from edge_runtime.engines.device_memory.cuda_python import CudaPythonMemory

    return CudaPythonMemory(index)


def _pycuda(index: int) -> DeviceMemory:
    from edge_runtime.engines.device_memory.pycuda import PyCudaMemory

    return PyCudaMemory(index)


def _host(_index: int) -> DeviceMemory:
    from edge_runtime.engines.device_memory.host import HostMemory

    return HostMemory()


MEMORIES: dict[str, Callable[[int], DeviceMemory]] = {
    "cuda-python": _cuda_python,
    "pycuda": _pycuda,
    "host": _host,
}


def open_memory(index: int, name: str | None = None) -> DeviceMemory:
    """The GPU of that index (0 is the first that CUDA shows) through the library of that name.

    Without a name cuda-python serves, and pycuda where that alone is installed. Raises EngineError when
    the name is unknown, the library is not installed or there is no such device.
    """
    if name is None:
        name = "pycuda" if find_spec("cuda") is None and find_spec("pycuda") else "cuda-python"
    if name not in MEMORIES:
        raise EngineError(f"no device memory {name!r}; choose one of {', '.join(MEMORIES)}")
    return MEMORIES[name](index)
