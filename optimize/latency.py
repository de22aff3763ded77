"""How long the variants take, here and now.

Owns the measuring protocol: the variants take turns batch by batch, so that whatever else the machine
does falls on all alike and the ratio holds even where the figures do not. Percentiles are of single
batches, divided by the batch size: milliseconds per image.
"""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.manifest import LatencyRecord
from edge_runtime.engines.base import InferenceEngine

BATCHES = (1, 8, 32)
SAMPLES = 3000
"""Images that are timed at each batch size unless asked otherwise."""
_FEWEST = 20
_WARM_UP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What runs, and in which state: a latency means nothing without it."""

    device: str
    driver: str | None = None
    """Of an accelerator."""
    clock_mhz: float | None = None
    governor: str | None = None
    load: float | None = None
    """Processes that want the CPU, 1-minute average."""


def samples_for(batch: int, samples: int, *, full: bool = False) -> int:
    """How many batches of that size are timed: `samples` images' worth, but at least a tenth of them.

    Of 3,000 that is 300 batches of 32, which leaves three beyond a 99th percentile. `full` times as many
    batches of each size, which takes an accelerator seconds and a CPU an hour.
    """
    if full:
        return samples
    return max(min(_FEWEST, samples), samples // 10, samples // batch)


def measure(
    engines: Mapping[str, InferenceEngine],
    frames: npt.NDArray[np.uint8],
    *,
    threads: int,
    batches: Sequence[int] = BATCHES,
    samples: int = SAMPLES,
    full: bool = False,
    advanced: Callable[[int], None] = lambda _images: None,
    clock: Callable[[], float] = time.perf_counter,
    machine: Machine | None = None,
) -> dict[str, tuple[LatencyRecord, ...]]:
    """Latency records of every engine, by the same keys, one per batch size.

    `frames` (N >= 1, height, width, 3) uint8 are repeated to fill a batch. `threads` is what the engines
    were opened with. `advanced` hears of the images run per turn; `clock` gives seconds. `machine` is
    what the engines run on; None is this machine's processor, as it is at the beginning.
    """
    records: dict[str, list[LatencyRecord]] = {key: [] for key in engines}
    here = machine or processor()
    for batch in batches:
        pixels = np.take(frames, np.arange(batch), axis=0, mode="wrap")
        times: dict[str, list[float]] = {key: [] for key in engines}
        count = samples_for(batch, samples, full=full)
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
                    device=here.device,
                    engine=name,
                    engine_version=version,
                    batch=batch,
                    threads=threads,
                    samples=count,
                    p50_ms=p50,
                    p95_ms=p95,
                    p99_ms=p99,
                    max_ms=slowest,
                    driver=here.driver,
                    clock_mhz=here.clock_mhz,
                    governor=here.governor,
                    load=here.load,
                    measured_at=datetime.now(UTC),
                )
            )
    return {key: tuple(rows) for key, rows in records.items()}


def images_per_variant(batches: Sequence[int], samples: int, *, full: bool = False) -> int:
    """Images that `measure` runs in all, warm-up included: the length of its progress."""
    return sum(batch * (_WARM_UP + samples_for(batch, samples, full=full)) for batch in batches)


def processor(
    cpuinfo: Path = Path("/proc/cpuinfo"),
    governor: Path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
) -> Machine:
    """This machine's processor and its present state, as far as the system tells of them."""
    lines = [line.partition(":") for line in _text(cpuinfo).splitlines()]
    # Backwards, so that of several cores the first one counts.
    facts = {key.strip(): value.strip() for key, _, value in reversed(lines)}
    clock = facts.get("cpu MHz", "")
    return Machine(
        device=facts.get("model name") or facts.get("Model") or _architecture(),
        clock_mhz=float(clock) if clock.replace(".", "", 1).isdecimal() else None,
        governor=_text(governor).strip() or None,
        load=round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    )


def _architecture() -> str:
    return platform.processor() or platform.machine()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # no such file outside Linux, or within a virtual machine
