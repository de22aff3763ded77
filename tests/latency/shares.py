"""How much of the float variant's time a variant takes, measured in one process, turn by turn.

What is timed is CPU time of one thread, not the clock on the wall: on a shared machine wall ratios
wander by a factor of two, CPU ratios by a few per cent, and work that a change adds costs CPU time.
What only waits is not seen here.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.bundle import Bundle
from edge_runtime.decoding import decode
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine

ROUNDS = {1: 60, 8: 20}
"""Turns of each side, by the batch sizes that are measured."""
_WARM_UP = 3


def frames_of(bundle: Bundle, batch: int) -> npt.NDArray[np.uint8]:
    """A batch (N, height, width, 3) of the bundle's golden frames, repeated as needed."""
    files = [bundle.path / golden.file for golden in bundle.manifest.golden]
    pixels = np.stack([decode(file.read_bytes()) for file in files])
    return np.take(pixels, np.arange(batch), axis=0, mode="wrap")


@contextmanager
def opened(bundle: Bundle, engine: str, file: Path) -> Iterator[InferenceEngine]:
    """The file in that engine with one thread."""
    with closing(open_engine(engine, file, bundle.manifest.model, 1)) as model:
        yield model


def share_of_time(
    variant: InferenceEngine,
    reference: InferenceEngine,
    frames: npt.NDArray[np.uint8],
    *,
    rounds: int,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Median over the rounds of the variant's time by the reference's, one batch after the other."""
    found = []
    for turn in range(_WARM_UP + rounds):
        took = []
        for engine in (variant, reference):
            began = clock()
            engine.infer(frames)
            took.append(clock() - began)
        if turn >= _WARM_UP:
            found.append(took[0] / took[1])
    return statistics.median(found)


def default_share(bundle: Bundle, engine: str, batch: int, file: Path | None = None) -> float:
    """Share of the default variant, or of `file` in its place, both sides opened afresh."""
    default = bundle.model_file(bundle.variant(None))
    reference = bundle.model_file(bundle.variant("float32"))
    with (
        opened(bundle, engine, file or default) as variant,
        opened(bundle, engine, reference) as floats,
    ):
        frames = frames_of(bundle, batch)
        return share_of_time(variant, floats, frames, rounds=ROUNDS[batch])
