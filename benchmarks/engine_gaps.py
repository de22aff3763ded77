"""What a station's inspecting thread does between two inferences: what is lost to the bare loop.

`python -m benchmarks.engine_gaps CROPS --broker ADDRESS` prints it as JSON; `engine_gaps` does that in a
process of its own, whose libraries keep no threads, as those of `edge-inspect` do not.

Runs a station in this process on a folder of crops, as fast as it goes, with the engine under a
stopwatch. Time between inferences in which the thread works is the station's own; time in which it waits
is a queue's, another thread's hold on the interpreter or another program's hold on the core. What the
other threads do costs the loop only where cores are shared, as two threads of one physical core are.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from unittest import mock

import numpy as np
import numpy.typing as npt

from benchmarks.running_stations import BATCH, FLAGS
from edge_runtime.assembly import engine as engine_room
from edge_runtime.assembly.station import open_station
from edge_runtime.cli.__main__ import ONE_THREAD
from edge_runtime.config import load_config
from edge_runtime.engines.base import Inference, InferenceEngine
from edge_runtime.engines.catalogue import open_engine


@dataclass(frozen=True, slots=True)
class _Moment:
    """Of one thread, or the time between two of its moments; seconds."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Self:
        return cls(time.perf_counter(), time.thread_time())

    def __add__(self, other: Self) -> Self:
        return type(self)(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.wall - other.wall, self.cpu - other.cpu)


class _Timed:
    """An engine whose full batches are timed, and the time from one to the next."""

    def __init__(self, engine: InferenceEngine, batch: int) -> None:
        self._engine = engine
        self._batch = batch
        self.last: _Moment | None = None
        """After the last batch; None where it was no full one."""
        self.inside = self.between = self.ended = _Moment()

    @property
    def name(self) -> str:
        return self._engine.name

    def infer(self, batch: npt.NDArray[np.uint8]) -> Inference:
        began = _Moment.now()
        answer = self._engine.infer(batch)
        self.ended = _Moment.now()
        if len(batch) < self._batch:
            self.last = None
            return answer
        if self.last is not None:
            self.between += began - self.last
        self.inside += self.ended - began
        self.last = self.ended
        return answer

    def close(self) -> None:
        self._engine.close()


@contextmanager
def _timed_engines(batch: int) -> Iterator[list[_Timed]]:
    opened: list[_Timed] = []

    def open_timed(*words: Any) -> _Timed:
        opened.append(_Timed(open_engine(*words), batch))
        return opened[-1]

    with mock.patch.object(engine_room, "open_engine", open_timed):
        yield opened


def engine_gaps(crops: Path, broker: str) -> dict[str, float]:
    """Milliseconds per part, of full batches alone, and what all other threads use meanwhile."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.engine_gaps", str(crops), "--broker", broker],
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.PIPE,
        check=True,
    )
    found: dict[str, float] = json.loads(told.stdout)
    return found


def _gaps(crops: Path, broker: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as state, _timed_engines(BATCH) as engines:
        keys = {key.replace("-", "_"): value for key, value in FLAGS.items()}
        given = {
            "station": "L01-S9",
            "source": f"dir:{crops}",
            "broker": broker,
            "state_dir": state,
        }
        with open_station(load_config({**keys, **given}, {}, None)) as station:
            before = time.process_time()
            frames = station.run(threading.Event()).frames
            cpu_s = time.process_time() - before
    engine = engines[-1]
    per_part = 1000 / (frames // BATCH * BATCH)
    return {
        "inference_ms": engine.inside.wall * per_part,
        "inference_cpu_ms": engine.inside.cpu * per_part,
        "between_ms": engine.between.wall * per_part,
        "between_cpu_ms": engine.between.cpu * per_part,
        "other_threads_cpu_ms": (cpu_s - engine.ended.cpu) * 1000 / frames,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("crops", type=Path)
    parser.add_argument("--broker", required=True)
    arguments = parser.parse_args()
    print(json.dumps(_gaps(arguments.crops, arguments.broker)))


if __name__ == "__main__":
    main()
