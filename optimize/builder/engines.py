"""Engines on models that are still in memory.

Every engine is the one that the runtime would use, so what is compared and timed in a build is what runs
on the line.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import onnx

from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine


@contextmanager
def opened(
    models: Mapping[str, onnx.ModelProto], spec: ModelSpec, threads: int, engine: str
) -> Iterator[dict[str, InferenceEngine]]:
    """An engine per model, by the same keys; raises EngineError where one is refused."""
    with tempfile.TemporaryDirectory(prefix="optimize-") as scratch, ExitStack() as stack:
        engines = {}
        for number, (key, proto) in enumerate(models.items()):
            path = Path(scratch, f"{number}.onnx")
            onnx.save(proto, path)
            engines[key] = stack.enter_context(closing(open_engine(engine, path, spec, threads)))
        yield engines
