"""What watching for drift costs: `python -m benchmarks.drift_cost`.

Microseconds a part on one core, bytes of state, and the daemon with drift on and off: the same bundle,
crops and broker, the two taking turns. Throughput is what a subscriber at the MES sees; the daemon's CPU
time, start-up included, hardly moves with what else the machine does.
"""

import argparse
import os
import random
import resource
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from benchmarks.drift_line import PARTS_PER_DAY, record, reference_of
from benchmarks.line_speed import daemon, write_crops
from benchmarks.setting import setting, write_result
from benchmarks.turns import ratio
from edge_runtime.bundle import DRIFT, open_bundle
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.decoding import decode
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.statistics import measure
from edge_runtime.mes.private_broker import PrivateBroker
from optimize import package


def watched_bundle(folder: Path, reference: DriftReference) -> Path:
    """The demo bundle with a drift reference, below `folder`."""
    demo = open_bundle("demo")
    copy = folder / demo.manifest.name / demo.manifest.version
    shutil.copytree(demo.path, copy)
    (copy / DRIFT).write_text(reference.to_json(), encoding="utf-8")
    for name in ("manifest.json", "manifest.json.sha256"):
        (copy / name).unlink()
    files = package.hash_files(copy)
    package.seal(copy, demo.manifest.model_copy(update={"files": files}))
    return copy


def microseconds(crops: Path, reference: DriftReference, repeats: int) -> dict[str, float]:
    """Of measuring a frame and of watching a part, medians over rounds."""
    cv2.setNumThreads(1)
    frames = [decode(file.read_bytes()) for file in sorted(crops.iterdir())[:50]]
    parts = record(303, [3.0], 64)[0].parts
    monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
    rounds: dict[str, list[float]] = {"measure_us": [], "observe_us": []}
    for _ in range(repeats):
        began = time.process_time()
        for frame in frames:
            measure(frame)
        rounds["measure_us"].append((time.process_time() - began) / len(frames) * 1e6)
        began = time.process_time()
        for part in parts:
            monitor.observe(part)
        rounds["observe_us"].append((time.process_time() - began) / len(parts) * 1e6)
    return {name: statistics.median(values) for name, values in rounds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    about = setting("onnxruntime", "numpy", "opencv-python-headless", "paho-mqtt")
    reference = reference_of(record(505, np.arange(0, 37, 2.0), 10))
    folder = Path(tempfile.mkdtemp(prefix="drift-cost-"))
    rows: dict[str, list[float]] = {
        key: [] for key in ("on", "off", "cpu_on", "cpu_off", "rss_on", "rss_off")
    }
    draw = random.Random(1)
    try:
        (crops := folder / "crops").mkdir()
        write_crops(crops, arguments.frames)
        bundle = watched_bundle(folder, reference)
        monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
        costs = microseconds(crops, reference, 30)
        with PrivateBroker() as broker:
            for _ in range(arguments.rounds):
                order = [("on", "--drift-watch"), ("off", "--no-drift-watch")]
                draw.shuffle(order)
                for side, flag in order:
                    before = _children_s()
                    seen = daemon(
                        *(crops, arguments.frames, broker.address, "int8", "onnxruntime", 8, 1),
                        bundle=str(bundle),
                        flags=[flag],
                    )
                    rows[side].append(seen["images_per_s"])
                    rows[f"cpu_{side}"].append((_children_s() - before) / arguments.frames * 1e3)
                    rows[f"rss_{side}"].append(seen["peak_rss_mb"])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "microseconds_per_part": costs,
        "statistics_watched": len(reference.measures) + len(reference.shares),
        "state_bytes": monitor.state_bytes(),
        "reference_bytes": len(reference.to_json()),
        "throughput_on_over_off": str(ratio(rows["on"], rows["off"])),
        "cpu_on_over_off": str(ratio(rows["cpu_on"], rows["cpu_off"])),
        "rounds": {
            "images_per_s_on": rows["on"],
            "images_per_s_off": rows["off"],
            "cpu_ms_per_image_on": rows["cpu_on"],
            "cpu_ms_per_image_off": rows["cpu_off"],
            "peak_rss_mb_on": rows["rss_on"],
            "peak_rss_mb_off": rows["rss_off"],
        },
    }
    for key in list(result)[len(about) + 1 : -1]:
        print(f"{key:<24} {result[key]}")
    print(f"written to {os.path.relpath(write_result('drift-cost', result))}")


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
