"""Daemons under measurement: started on recorded parts, heard at the broker, and their cost counted.

Owns the processes and what is read from them. What is made of it is the business of the benchmark.
Parts come from a recording at an even pace, so that nobody renders meanwhile, and a station ends by
itself after the last. Times are a verdict's own: from its frame's arrival to the decision, by the
station's clock. A station's cost is that of its process and of those that its cameras have.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from benchmarks.line_speed import inspected
from edge_runtime.bundle import open_bundle
from edge_runtime.cameras.recording import RecordingWriter
from edge_runtime.cameras.sources import open_source
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.verdict import Outcome, VerdictMessage
from edge_runtime.mes.links import open_subscriber

SITE = "bench"
PRECISION, ENGINE, BATCH, THREADS = "int8", "onnxruntime", 8, 1
FLAGS = {
    "variant": PRECISION,
    "engine": ENGINE,
    "max-batch": str(BATCH),
    "threads": str(THREADS),
    "log-level": "error",
}
"""Of the stations that are measured."""
_TICKS = os.sysconf("SC_CLK_TCK")
_SILENCE_S = 60.0
"""Nothing heard for so long is the end of a measurement that does not work."""


def write_parts(folder: Path, *, rate: float, count: int, prefix: str = "P") -> Path:
    """A recording of clean crops of the simulated line, `rate` a second; the same ones at every rate.

    Crops that the frame gate would turn away are left out: their answer waits for no engine.
    """
    is_inspected = inspected(open_bundle("demo"))
    with (
        closing(open_source("simulated:gen3?seed=11&rate=0&defects=0.2&corrupt=0")) as line,
        RecordingWriter(folder, source="simulated:gen3", is_simulated=True) as writer,
    ):
        images: list[bytes] = []
        while len(images) < min(count, 200):
            image = _next(line)
            if isinstance(image, bytes) and is_inspected(image):
                images.append(image)
        for number in range(count):
            writer.add(
                Frame(
                    part_id=f"{prefix}-{number:06}",
                    captured_at=datetime.now(UTC),
                    arrived=number / rate,
                    image=images[number % len(images)],
                )
            )
    return folder


def _next(line: Any) -> Any:
    frame = line.read(1.0)
    return None if frame is None else frame.image


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What a verdict says of its own time, milliseconds."""

    station: str
    seq: int
    part_id: str
    decision: float
    """From the frame's arrival to the decision."""
    infer: float
    published: float
    """From the decision until the message was handed to the connection, the commit in between."""
    inspected: bool
    heard: float
    """When it was heard here, monotonic seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What processes have used so far."""

    cpu_s: float
    memory_mb: float
    """Proportional set size: pages that several share count once in all."""

    @classmethod
    def of(cls, pids: Sequence[int]) -> Self:
        """Of all these processes and their children together; those that have ended count nothing."""
        family = [each for pid in pids for each in (pid, *_children(pid))]
        return cls(cpu_s=sum(map(_cpu_s, family)), memory_mb=sum(map(_memory_mb, family)))


PERCENTILES = {"p50": (0.5, 20), "p99": (0.99, 100), "p99.9": (0.999, 1000)}
"""Share, and how many values there have to be."""


def percentiles(values: Sequence[float]) -> dict[str, float | None]:
    """The percentiles that so many values tell; null for the others, and the longest of all."""
    found: dict[str, float | None] = {
        name: round(float(np.quantile(values, share)), 3) if len(values) >= least else None
        for name, (share, least) in PERCENTILES.items()
    }
    return {**found, "max": round(max(values), 3), "parts": len(values)}


def _children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        with suppress(OSError):
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found


def _cpu_s(pid: int) -> float:
    try:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(words[11]) + int(words[12])) / _TICKS


def _memory_mb(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("Pss:")), 0.0)


class Stations:
    """Several daemons on one broker; use as a context manager."""

    def __init__(
        self, broker: str, sources: Sequence[Sequence[str]], flags: Mapping[str, str]
    ) -> None:
        """`sources` are, of each station, the words of the command line that name its source."""
        self._folder = Path(tempfile.mkdtemp(prefix="stations-"))
        self._words = [word for key, value in flags.items() for word in (f"--{key}", value)]
        self._broker = broker
        self._sources = sources
        self._mes = open_subscriber(broker, f"inspection/{SITE}/+/+/+")
        self.parts: list[Part] = []
        """Heard so far, in that order."""
        self.online: set[str] = set()
        """Topics of stations that said that they are."""
        self._heard = time.monotonic()
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for number, source in enumerate(self._sources):
            command = [
                *(sys.executable, "-m", "edge_runtime.cli", "run", "--site", SITE),
                *("--station", f"L01-S{number + 1}", "--broker", self._broker),
                *("--state-dir", str(self._folder / str(number)), *source, *self._words),
            ]
            with (self._folder / f"{number}.log").open("wb") as log:
                process = subprocess.Popen(command, stdout=log, stderr=log)
            self.processes.append(process)
        return self

    def listen(
        self,
        *,
        for_s: float = math.inf,
        parts: float = math.inf,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hear verdicts until a time is over, there are so many, or something is so; ends the program
        when all is silent."""
        began = time.monotonic()
        while time.monotonic() - began < for_s and len(self.parts) < parts and not until():
            self._hear(0.2)
            if time.monotonic() - self._heard > _SILENCE_S:
                raise SystemExit(f"no verdict for {_SILENCE_S:.0f} s: {self.words()}")

    def wait(self) -> None:
        """Until all have ended by themselves, and what they had said is heard."""
        for process in self.processes:
            if code := process.wait(120):
                raise SystemExit(f"a station ended with {code}: {self.words()}")
        while self._hear(0.5):
            pass

    def _hear(self, wait_s: float) -> bool:
        """Take in the next message; whether there was one."""
        message = self._mes.receive(wait_s)
        if message is None:
            return False
        now = time.monotonic()
        if message.topic.endswith("/verdict"):
            self._heard = now
            self.parts.append(_part(message.payload, now))
        elif message.topic.endswith("/availability") and message.payload == b"online":
            self._heard = now
            self.online.add(message.topic)
        return True

    def usages(self) -> list[Usage]:
        """Of each daemon so far."""
        return [Usage.of([process.pid]) for process in self.processes]

    def usage(self) -> Usage:
        """Of all daemons so far."""
        return Usage.of([process.pid for process in self.processes])

    def words(self) -> str:
        """The last that any of them wrote."""
        logs = sorted(self._folder.glob("*.log"))
        return " | ".join(text[-300:] for log in logs if (text := log.read_text().strip()))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._mes.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _part(payload: bytes, heard: float) -> Part:
    verdict = VerdictMessage.model_validate_json(payload)
    timings = verdict.timings_ms
    return Part(
        station=verdict.station,
        seq=verdict.seq,
        part_id=verdict.part_id,
        decision=timings.wait + timings.preprocess + timings.infer,
        infer=timings.infer,
        published=verdict.delivery.waited_ms,
        inspected=verdict.verdict is not Outcome.NOT_INSPECTED,
        heard=heard,
    )
