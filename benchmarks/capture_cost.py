"""What it costs that a camera runs in a process of its own: `python -m benchmarks.capture_cost`.

The same source, which gives one and the same picture, is read in this process and through another one.
Frames per second are taken unpaced, with a source that waits for room; latency, from the source's having
the frame to the reader's having it, at a paced rate. CPU time is that of both processes. The sides take
turns. Beside them: what one copy of such a frame costs here.
"""

import argparse
import os
import resource
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.setting import setting, write_result
from benchmarks.still_picture import open_still
from edge_runtime.cameras.base import CameraSource
from edge_runtime.capture.camera import CaptureCamera
from edge_runtime.capture.supervision import Limits

SIZES = {"crop 256x256": (256, 256), "frame 1440x1080": (1080, 1440)}
COPIES = {
    "in this process": {"count": 0, "why": "the reader has the array that the source made"},
    "in a process of its own": {
        "count": 2,
        "why": "one into the shared memory, since a source returns an array of its own; one out of it, "
        "since a frame lives until its verdict is committed and its slot must be free before",
    },
}


def open_in_a_process(text: str) -> CameraSource:
    """The same through another process, which waits for room."""
    return CaptureCamera(text, opener=open_still, live=False, limits=Limits(silence_s=None))


SIDES: dict[str, Callable[[str], CameraSource]] = {
    "in this process": open_still,
    "in a process of its own": open_in_a_process,
}


def take(camera: CameraSource, count: int) -> list[float]:
    """Seconds from the source's having each frame to ours."""
    waits: list[float] = []
    while len(waits) < count:
        frame = camera.read(0.5)
        if frame is not None:
            waits.append(time.monotonic() - frame.arrived)
    return waits


def throughput(side: str, size: tuple[int, int], frames: int) -> tuple[float, float]:
    """Frames per second, and milliseconds of CPU per frame of all processes, its start left out."""
    with closing(SIDES[side](f"{size[0]} {size[1]} 0")) as camera:
        take(camera, 20)
        child = getattr(camera, "pid", None)
        began, used = time.perf_counter(), cpu_s(child)
        take(camera, frames)
        wall_s, cpu = time.perf_counter() - began, cpu_s(child) - used
    return frames / wall_s, cpu * 1000 / frames


def cpu_s(child: int | None) -> float:
    """CPU seconds of this process and of that one so far."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    seconds = own.ru_utime + own.ru_stime
    if child is not None:
        # Nanoseconds of its only thread; /proc/PID/stat counts in steps of 10 ms.
        seconds += int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) / 1e9
    return seconds


def latencies_ms(side: str, size: tuple[int, int], frames: int, rate: float) -> list[float]:
    """Milliseconds from the source to the reader at a paced rate."""
    with closing(SIDES[side](f"{size[0]} {size[1]} {rate}")) as camera:
        take(camera, 5)
        return [1000 * wait for wait in take(camera, frames)]


def copy_ms(size: tuple[int, int]) -> float:
    """One copy of such a frame into memory that is already mapped, median."""
    source = np.ones((*size, 3), dtype=np.uint8)
    target = np.zeros_like(source)
    times = []
    for _ in range(50):
        began = time.perf_counter()
        np.copyto(target, source)
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--frames", type=int, default=2000, help="frames of a turn, unpaced")
    parser.add_argument("--paced", type=int, default=60, help="frames of a turn, paced")
    parser.add_argument("--rate", type=float, default=20.0, help="frames per second, paced")
    arguments = parser.parse_args()
    about = setting("numpy")
    results: dict[str, object] = {}
    for name, size in SIZES.items():
        rates: dict[str, list[float]] = {side: [] for side in SIDES}
        cpu: dict[str, list[float]] = {side: [] for side in SIDES}
        waits: dict[str, list[float]] = {side: [] for side in SIDES}
        for number in range(arguments.rounds):
            for side in list(SIDES)[:: 1 if number % 2 else -1]:
                per_s, cpu_ms = throughput(side, size, arguments.frames)
                rates[side].append(per_s)
                cpu[side].append(cpu_ms)
                waits[side] += latencies_ms(side, size, arguments.paced, arguments.rate)
        results[name] = {
            "one_copy_ms": round(copy_ms(size), 4),
            **{side: row(rates[side], cpu[side], waits[side]) for side in SIDES},
        }
        for side in SIDES:
            print(f"{name:<16} {side:<24} {row(rates[side], cpu[side], waits[side])}")
    path = write_result(
        "capture-cost",
        {**about, "options": vars(arguments), "copies_per_frame": COPIES, "results": results},
    )
    print(f"written to {os.path.relpath(path)}")


def row(rates: list[float], cpu_ms: list[float], waits_ms: list[float]) -> dict[str, float]:
    """The medians over the rounds, and the latencies of all of them."""
    p50, p99 = np.percentile(waits_ms, (50, 99))
    return {
        "frames_per_s": round(statistics.median(rates), 1),
        "cpu_ms_per_frame": round(statistics.median(cpu_ms), 3),
        "latency_p50_ms": round(float(p50), 3),
        "latency_p99_ms": round(float(p99), 3),
    }


if __name__ == "__main__":
    main()
