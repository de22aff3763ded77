"""Record this machine's baseline: `python -m tests.latency.record [--repeats 10]`.

Do it on a state that is known to be good, and on a machine as quiet as it gets; commit the file. Half of
the repeats are measured beside neighbours that this starts, so that it holds on a busy machine, too.
"""

import argparse
import multiprocessing
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import numpy as np

from edge_runtime.bundle import open_bundle
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.errors import EngineError
from optimize.latency import processor
from tests.latency import baselines
from tests.latency.baselines import Baseline
from tests.latency.device_kind import kind_here
from tests.latency.shares import ROUNDS, default_share

ENGINES = ("onnxruntime", "openvino")


def installed(engine: str) -> str | None:
    """The version of the engine here; None where it is not installed."""
    bundle = open_bundle("demo")
    try:
        model = open_engine(
            engine, bundle.model_file(bundle.variant(None)), bundle.manifest.model, 1
        )
    except EngineError:
        return None
    model.close()
    return model.name.partition(" ")[2]


def take(engine: str, version: str, batch: int, repeats: int) -> Baseline:
    """Measure `repeats` times, on engines opened afresh."""
    bundle = open_bundle("demo")
    found = []
    for repeat in range(repeats):
        with neighbours((os.cpu_count() or 1) * (repeat % 2)):
            found.append(round(default_share(bundle, engine, batch), 4))
    return Baseline(
        kind=kind_here(),
        engine=engine,
        batch=batch,
        share=round(statistics.median(found), 4),
        tolerance=round(baselines.tolerance(found), 4),
        repeats=tuple(found),
        engine_version=version,
        device=processor().device,
        bundle=bundle.title,
        measured_at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that copy memory all the while."""
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_copy_for_ever, daemon=True) for _ in range(count)]
    for process in started:
        process.start()
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.join()


def _copy_for_ever() -> None:
    source = np.zeros(1 << 24, np.float32)
    target = np.empty_like(source)
    while True:
        np.copyto(target, source)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10, help="of each measurement, at least 3")
    repeats = max(3, parser.parse_args().repeats)
    taken = []
    for engine in ENGINES:
        version = installed(engine)
        if version is None:
            print(f"{engine} is not installed: no baseline of it")  # noqa: T201 - a command
            continue
        for batch in ROUNDS:
            taken.append(take(engine, version, batch, repeats))
            now = taken[-1]
            print(  # noqa: T201
                f"{now.kind}, {engine} {version}, batch {batch}: {now.share:.3f} of float32's time, "
                f"tolerance {now.tolerance:.1%}"
            )
    baselines.write(baselines.replaced(baselines.read(), taken))


if __name__ == "__main__":
    main()
