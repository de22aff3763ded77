"""The engine that a configuration and a bundle ask for, and how it is let go of."""

from collections.abc import Iterator
from contextlib import contextmanager

from edge_runtime.bundle import Bundle
from edge_runtime.config import StationConfig
from edge_runtime.contracts.manifest import Variant
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.engines.recovering import RecoveringEngine
from edge_runtime.inspection import Inspector


@contextmanager
def open_inspector(config: StationConfig, bundle: Bundle, variant: Variant) -> Iterator[Inspector]:
    """The engine, proved by the bundle's golden frames, with the bundle's decision rule.

    Raises EngineError or BundleError. In the end the engine is closed, but not under the feet of a
    thread that it never came back to.
    """
    model = bundle.manifest.model
    engine = RecoveringEngine(lambda: _open_engine(config, bundle, variant), model)
    inspector = Inspector(engine, model)
    try:
        yield inspector
    finally:
        if not inspector.busy_s():
            engine.close()


def _open_engine(config: StationConfig, bundle: Bundle, variant: Variant) -> InferenceEngine:
    """The engine, once it has answered the golden frames as recorded."""
    engine = open_engine(
        config.engine,
        bundle.model_file(variant),
        bundle.manifest.model,
        config.threads,
        bundle.plans(variant),
    )
    try:
        if config.engine != "null":
            bundle.replay(engine, variant)
    except BaseException:
        engine.close()
        raise
    return engine
