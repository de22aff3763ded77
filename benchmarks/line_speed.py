"""What the daemon costs over the bare engine, and what INT8 gains: `python -m benchmarks.line_speed`.

The daemon runs as its own process on a folder of JPEG crops, with its durable journal and a private
mosquitto, and with all that watches a station by default; its throughput is what a subscriber at the MES
sees. Frames that the gate would turn away are left out, since they cost no inference. The bare loop
runs the same variant in the same engine at the same batch and threads on frames decoded beforehand. The
sides take turns.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.setting import setting, write_result
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.cameras.sources import open_source
from edge_runtime.decoding import Undecodable, decode
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.private_broker import PrivateBroker
from edge_runtime.preprocessing import fit
from edge_runtime.quality.gate import QualityGate

TOPICS = "inspection/bench/L01/S1"


def write_crops(folder: Path, count: int) -> None:
    """A folder of clean Gen-3 crops."""
    with closing(open_source("simulated:gen3?seed=11&rate=0&defects=0.2")) as camera:
        written = 0
        while written < count:
            frame = camera.read(1.0)
            if frame is not None and isinstance(frame.image, bytes):
                (folder / f"{written:05}.jpg").write_bytes(frame.image)
                written += 1


def inspected(bundle: Bundle) -> Callable[[bytes], bool]:
    """Whether a station with that bundle would ask its engine about a file."""
    reference = bundle.quality_reference()
    gate = None if reference is None else QualityGate(reference, live=False)

    def is_inspected(file: bytes) -> bool:
        try:
            pixels = fit(decode(file), bundle.manifest.model.input)
        except Undecodable:
            return False
        return gate is None or gate.examine(pixels).rejection is None

    return is_inspected


def leave_what_is_inspected(crops: Path, bundle: Bundle) -> int:
    """Remove what the station would turn away, which costs it no inference; how many are left."""
    is_inspected = inspected(bundle)
    left = 0
    for file in sorted(crops.iterdir()):
        if is_inspected(file.read_bytes()):
            left += 1
        else:
            file.unlink()
    return left


def bare_loop(
    bundle: Bundle, precision: str, engine: str, frames: np.ndarray, batch: int, threads: int
) -> float:
    """Images per second of the engine alone."""
    variant = bundle.variant(precision)
    with closing(
        open_engine(engine, bundle.model_file(variant), bundle.manifest.model, threads)
    ) as model:
        for start in range(0, 4 * batch, batch):
            model.infer(frames[start : start + batch])
        began = time.perf_counter()
        for start in range(0, len(frames) - batch + 1, batch):
            model.infer(frames[start : start + batch])
        return len(frames) // batch * batch / (time.perf_counter() - began)


def daemon(
    crops: Path,
    count: int,
    broker: str,
    precision: str,
    engine: str,
    batch: int,
    threads: int,
    *,
    bundle: str = "demo",
    flags: Sequence[str] = (),
) -> dict[str, float]:
    """Images per second at the MES, seconds from exec to `online`, peak RSS of the daemon, and CPU
    seconds of its whole run, its camera processes included."""
    state = Path(tempfile.mkdtemp(prefix="line-speed-"))
    command = [
        *(sys.executable, "-m", "edge_runtime.cli"),
        *("--station", "L01-S1", "--site", "bench", "--bundle", bundle, "--variant", precision),
        *("--engine", engine, "--threads", str(threads), "--max-batch", str(batch)),
        *("--source", f"dir:{crops}", "--broker", broker, "--state-dir", str(state)),
        *flags,
    ]
    try:
        with closing(open_subscriber(broker, f"{TOPICS}/#")) as mes:
            began, used = time.perf_counter(), _children_s()
            with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
                online, peak = None, 0
                times: list[float] = []
                while len(times) < count:
                    message = mes.receive(20.0)
                    now = time.perf_counter()
                    if message is None:
                        raise SystemExit(f"the daemon fell silent: {process.stderr.read()}")  # type: ignore[union-attr]
                    if message.topic.endswith("/availability") and message.payload == b"online":
                        online = now - began
                        peak = peak_rss_kb(process.pid)
                    elif message.topic.endswith("/verdict"):
                        times.append(now)
                        if len(times) % 50 == 0:
                            peak = max(peak, peak_rss_kb(process.pid))
                process.wait(30)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    skip = count // 5  # start-up and warm-up
    return {
        "images_per_s": (count - skip - 1) / (times[-1] - times[skip]),
        "online_s": online if online is not None else float("nan"),
        "peak_rss_mb": peak / 1024,
        "cpu_s": _children_s() - used,
    }


def peak_rss_kb(pid: int) -> int:
    """High-water mark of a process's resident memory, kB; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next(
        (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0
    )


def _children_s() -> float:
    """CPU seconds of this process's children that have ended, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--engine", default="onnxruntime")
    arguments = parser.parse_args()
    about = setting("onnxruntime", "numpy", "opencv-python-headless", "paho-mqtt")
    bundle = open_bundle("demo")
    crops = Path(tempfile.mkdtemp(prefix="line-speed-crops-"))
    rows: dict[str, list[float]] = {
        key: [] for key in ("bare_int8", "bare_float32", "daemon_int8", "online_s", "peak_rss_mb")
    }
    try:
        write_crops(crops, arguments.frames)
        count = leave_what_is_inspected(crops, bundle)
        frames = decodable(crops, bundle)
        how = (arguments.engine, frames, arguments.batch, arguments.threads)
        with PrivateBroker() as broker:
            for _ in range(arguments.rounds):
                rows["bare_int8"].append(bare_loop(bundle, "int8", *how))
                seen = daemon(
                    crops,
                    count,
                    broker.address,
                    "int8",
                    arguments.engine,
                    arguments.batch,
                    arguments.threads,
                )
                rows["daemon_int8"].append(seen["images_per_s"])
                rows["online_s"].append(seen["online_s"])
                rows["peak_rss_mb"].append(seen["peak_rss_mb"])
                rows["bare_float32"].append(bare_loop(bundle, "float32", *how))
    finally:
        shutil.rmtree(crops, ignore_errors=True)
    report(about, vars(arguments), rows)


def decodable(crops: Path, bundle: Bundle) -> np.ndarray:
    """The crops that decode to the model's size, (N, height, width, 3) uint8."""
    size = bundle.manifest.model.input
    frames = []
    for file in sorted(crops.iterdir()):
        try:
            pixels = decode(file.read_bytes())
        except ValueError:
            continue  # a corrupt crop: the daemon answers it, the bare engine never sees it
        if pixels.shape[:2] == (size.height, size.width):
            frames.append(pixels)
    return np.stack(frames)


def report(
    about: dict[str, object], options: dict[str, object], rows: dict[str, list[float]]
) -> None:
    """Print the table and write the JSON."""

    def ratio(over: str, under: str) -> float:
        return statistics.median(a / b for a, b in zip(rows[over], rows[under], strict=True))

    ratios = {
        "daemon over bare engine, INT8": ratio("daemon_int8", "bare_int8"),
        "INT8 over float32, bare engine": ratio("bare_int8", "bare_float32"),
    }
    medians = {key: statistics.median(values) for key, values in rows.items()}
    for name, value in {**ratios, **medians}.items():
        print(f"{name:<34} {value:10.3f}")
    path = write_result(
        "line-speed",
        {**about, "options": options, "ratios": ratios, "medians": medians, "rounds": rows},
    )
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
