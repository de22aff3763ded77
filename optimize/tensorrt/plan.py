"""Building a plan, TensorRT's serialised engine, from a typed ONNX file.

Owns the few choices there are: types are the file's own (a strongly typed network, the only kind that
TensorRT 11 has, and the same on 10), one optimisation profile, a timing cache that outlives the build.
Through Polygraphy, which bridges the two majors. Imports neither library until asked to build.
"""

import os
import re
from pathlib import Path

import onnx

from edge_runtime.engines.device_runner import CHUNK
from edge_runtime.errors import EngineError, first_line
from optimize.errors import ModelError

LARGEST = 32
"""Frames per inference at most; what is tuned for is the chunk that the engine computes together."""


def timing_cache(device: str, tensorrt: str) -> Path:
    """Where kernel timings of that device under that TensorRT version are kept: the user's cache folder.

    A cache of another device or version would be refused, so each has a file of its own.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = re.sub(r"[^A-Za-z0-9.]+", "-", f"{device} {tensorrt}")
    return Path(base, "edge-inspect", "tensorrt", f"{name}.timings")


def build_plan(model: Path, timings: Path) -> bytes:
    """The plan of the ONNX file `model` for the current device, batches of 1 to `LARGEST`.

    `timings` is read if it is there, and extended. Raises EngineError when TensorRT or Polygraphy is not
    installed and ModelError when TensorRT cannot build from the file.
    """
    try:
        from polygraphy.backend.trt import (
            CreateConfig,
            Profile,
            engine_bytes_from_network,
            network_from_onnx_path,
        )
        from polygraphy.exception import PolygraphyException
        from polygraphy.logger import G_LOGGER
    except ImportError as exc:
        raise EngineError(
            "Polygraphy is not installed: pip install 'edge-inspect[tensorrt]'"
        ) from exc
    timings.parent.mkdir(parents=True, exist_ok=True)
    frames, rest = _input_of(model)
    profile = Profile().add(frames, (1, *rest), (CHUNK, *rest), (LARGEST, *rest))
    try:
        with G_LOGGER.verbosity(G_LOGGER.ERROR):
            network = network_from_onnx_path(str(model), strongly_typed=True)
            config = CreateConfig(profiles=[profile], load_timing_cache=str(timings))
            built = engine_bytes_from_network(
                network, config=config, save_timing_cache=str(timings)
            )
    except PolygraphyException as exc:
        raise ModelError(
            f"TensorRT cannot build an engine from {model}: {first_line(exc)}"
        ) from exc
    return bytes(built)


def _input_of(model: Path) -> tuple[str, tuple[int, ...]]:
    """Name and shape without the batch of the file's one input."""
    try:
        graph = onnx.load(model, load_external_data=False).graph
    except Exception as exc:
        raise ModelError(f"{model} is no ONNX file that can be read") from exc
    if len(graph.input) != 1:
        raise ModelError(f"{model} must take one tensor of frames, it takes {len(graph.input)}")
    sides = graph.input[0].type.tensor_type.shape.dim[1:]
    return graph.input[0].name, tuple(side.dim_value for side in sides)
