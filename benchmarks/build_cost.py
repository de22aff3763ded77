"""What `optimize build --int8` takes of time and memory: `python -m benchmarks.build_cost`.

The float32 file of the shipped bundle is built anew, calibrated on `calibration_data/` and compared on
simulated images, a few and ten times as many. Each build is a process of its own, started as a person
would; what counts is its peak resident memory, beside that of a command that builds nothing. How much
the tenfold images would take if they were kept is the growth that one would see if they were.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.setting import setting, write_json, write_result
from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.manifest import InputSpec
from train.data import simulated

_SEED = 100
_GROWTH = 10


def run(*words: object) -> dict[str, float]:
    """`optimize` with these words in a process of its own: seconds, CPU seconds, peak resident MB."""
    command = [sys.executable, "-m", "optimize.cli", *map(str, words)]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise SystemExit(f"{' '.join(command)} ended with {status}: {said.read().decode()}")
    return {
        "seconds": round(took, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_rss_mb": round(used.ru_maxrss / 1024, 1),
    }


def write_images(folder: Path, count: int, size: InputSpec) -> Path:
    """A validation set of clean Gen-3 crops."""
    out = folder / f"{count}-images"
    crops = simulated.Recipe(generation="gen3", seed=_SEED, size=size.height, clean=True)
    simulated.write_dataset(crops, count, out)
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", default="demo", help="whose float32 file is built anew")
    parser.add_argument("--calibration", type=Path, default=Path("calibration_data"))
    parser.add_argument("--images", type=int, default=1000, help="of the larger validation set")
    parser.add_argument("--rounds", type=int, default=2, help="builds of each size")
    parser.add_argument("--out", type=Path, help="default docs/results/build-cost.json")
    options = parser.parse_args()
    about = setting("onnxruntime", "onnx", "onnxslim", "numpy")
    bundle = open_bundle(options.bundle)
    model, size = bundle.model_file(bundle.variant("float32")), bundle.manifest.model.input
    counts = (max(1, options.images // _GROWTH), options.images)
    builds: dict[int, list[dict[str, float]]] = {count: [] for count in counts}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        images = {count: write_images(folder, count, size) for count in counts}
        nothing = run("build", "--help")
        for number in range(options.rounds):
            for count in counts:
                words = ("--calibration", options.calibration, "--validation", images[count])
                target = folder / "bundles" / f"{count}-images" / f"{number}.0.0"
                builds[count].append(run("build", "--int8", model, *words, "--out", target))
    cases: list[dict[str, Any]] = [
        {"validation_images": count}
        | {key: statistics.median(one[key] for one in taken) for key in nothing}
        | {"builds": taken}
        for count, taken in builds.items()
    ]
    few, many = cases
    grown = many["peak_rss_mb"] - few["peak_rss_mb"]
    kept = (counts[1] - counts[0]) * size.height * size.width * 3 / 2**20
    for case in cases:
        print(
            f"{case['validation_images']:>6} images: {case['seconds']:7.1f} s, "
            f"{case['cpu_seconds']:7.1f} s of CPU, peak {case['peak_rss_mb']:.0f} MB"
        )
    print(f"tenfold images take {grown:.1f} MB more; kept, they would take {kept:.0f} MB")
    result = {
        **about,
        "model": {"bundle": bundle.title, "side": size.height},
        "calibration": options.calibration.name,
        "without_a_build": nothing,
        "builds": cases,
        "tenfold_mb": round(grown, 1),
        "tenfold_if_kept_mb": round(kept, 1),
    }
    if options.out:
        write_json(options.out, result)
    path = options.out or write_result("build-cost", result)
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
