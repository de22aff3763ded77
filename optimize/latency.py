"""How long the variants take, here and now.

Owns the measuring protocol: the variants take turns batch by batch, so that whatever else the machine
does falls on all alike and the ratio holds even where the figures do not. Percentiles are of single
batches, divided by the batch size: milliseconds per image.
"""

import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import LatencyRecord
from edge_runtime.engines.base import InferenceEngine

BATCHES = (1, 8, 32)
SAMPLES = 200
"""Batches of one that are timed unless asked otherwise; larger batches take fewer."""
_FEWEST = 20
_WARM_UP = 3


def samples_for(batch: int, samples: int) -> int:
    """How many batches of that size are timed: `samples` images' worth, but at least 20 batches."""
    return max(min(_FEWEST, samples), samples // batch)


def measure(
    engines: Mapping[str, InferenceEngine],
    frames: npt.NDArray[np.uint8],
    *,
    threads: int,
    batches: Sequence[int] = BATCHES,
    samples: int = SAMPLES,
    advanced: Callable[[int], None] = lambda _images: None,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, tuple[LatencyRecord, ...]]:
    """Latency records of every engine, by the same keys, one per batch size.

    `frames` (N >= 1, height, width, 3) uint8 are repeated to fill a batch. `threads` is what the engines
    were opened with. `advanced` hears of the images run per turn; `clock` gives seconds.
    """
    records: dict[str, list[LatencyRecord]] = {key: [] for key in engines}
    here = device()
    for batch in batches:
        pixels = np.take(frames, np.arange(batch), axis=0, mode="wrap")
        times: dict[str, list[float]] = {key: [] for key in engines}
        count = samples_for(batch, samples)
        for turn in range(_WARM_UP + count):
            for key, engine in engines.items():
                began = clock()
                engine.infer(pixels)
                took = clock() - began
                if turn >= _WARM_UP:
                    times[key].append(took)
            advanced(batch)
        for key, engine in engines.items():
            name, _, version = engine.name.partition(" ")
            taken = np.asarray(times[key]) * 1000 / batch
            p50, p95, p99, slowest = np.percentile(taken, (50, 95, 99, 100))
            records[key].append(
                LatencyRecord(
                    device=here,
                    engine=name,
                    engine_version=version,
                    batch=batch,
                    threads=threads,
                    samples=count,
                    p50_ms=p50,
                    p95_ms=p95,
                    p99_ms=p99,
                    max_ms=slowest,
                    measured_at=datetime.now(UTC),
                )
            )
    return {key: tuple(rows) for key, rows in records.items()}


def images_per_variant(batches: Sequence[int], samples: int) -> int:
    """Images that `measure` runs in all, warm-up included: the length of its progress."""
    return sum(batch * (_WARM_UP + samples_for(batch, samples)) for batch in batches)


def device(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's model name as the system tells it."""
    try:
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in {"model name", "Model"} and value.strip():
                return value.strip()
    except OSError:
        pass  # no such file outside Linux
    return platform.processor() or platform.machine()
