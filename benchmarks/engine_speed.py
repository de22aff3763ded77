"""How fast our int8 variant is beside what else there is: `python -m benchmarks.engine_speed`.

All contenders (`benchmarks.contenders`) run the same network on the same frames, each in a process of
its own, and take turns (`benchmarks.turns`). Every ratio is of two turns of the same round; stated is
the median over the rounds with its 95 % interval. Wall time is what counts; CPU time of all threads
stands beside it, since that hardly moves with what else the machine does (threads that spin while they
wait count as work in it). Beside the speed stands how many verdicts each quantised contender changes
against float32 on the calibration images.

Needs torch, OpenVINO, and nncf, which nothing else here does: `uv pip install --group benchmark`.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contenders import (
    EAGER,
    NAIVE,
    NNCF,
    OPENVINO_FLOAT,
    ORT_FLOAT,
    OTHERS,
    OURS,
    QUANTISED,
    contenders,
)
from benchmarks.setting import setting, write_json, write_result
from benchmarks.turns import Frames, Process, Ratio, Turn, processes, ratio, rounds
from edge_runtime import policy
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.contracts.manifest import ModelSpec
from optimize.data.dataset import open_dataset
from optimize.data.images import Image, read_images

_BATCHES_PER_TURN = {1: 6, 8: 2}
_AIMS: Mapping[str, float] = {EAGER: 8.0, ORT_FLOAT: 2.0}
_BEST_RIVALS = (OPENVINO_FLOAT, NNCF, NAIVE)
_AT_MOST_SLOWER = 0.10
_PACKAGES = ("torch", "timm", "onnxruntime", "openvino", "nncf", "numpy")


def compare(turns: Mapping[str, Sequence[Turn]]) -> dict[str, Any]:
    """One setting's record: medians, ours over each of the others, and whether the aims are met."""
    walls = {name: [turn.wall_ms for turn in taken] for name, taken in turns.items()}
    cpus = {name: [turn.cpu_ms for turn in taken] for name, taken in turns.items()}
    medians = {name: statistics.median(found) for name, found in walls.items()}
    ours = min(OURS, key=medians.__getitem__)
    rival = min(_BEST_RIVALS, key=medians.__getitem__)
    faster = {name: ratio(walls[name], walls[ours]) for name in OTHERS}
    return {
        "ms_per_image": medians,
        "cpu_ms_per_image": {name: statistics.median(found) for name, found in cpus.items()},
        "ours": ours,
        "times_as_fast_as": {name: _record(found) for name, found in faster.items()},
        "times_as_fast_as_by_cpu_time": {
            name: _record(ratio(cpus[name], cpus[ours])) for name in OTHERS
        },
        "best_rival": rival,
        "aims_met": {name: faster[name].median >= aim for name, aim in _AIMS.items()}
        | {"best rival": faster[rival].median >= 1 / (1 + _AT_MOST_SLOWER)},
        "rounds_ms_per_image": walls,
    }


def changed_verdicts(
    opened: Mapping[str, Process], images: Frames, model: ModelSpec
) -> dict[str, int]:
    """How many images each quantised contender judges otherwise than float32 does."""

    def verdicts(name: str) -> list[tuple[str, str | None]]:
        shares = policy.probabilities(opened[name].answer(images), model.decision.temperature)
        decisions = policy.decide(shares, model)
        return [(decision.outcome, decision.label) for decision in decisions]

    before = verdicts(ORT_FLOAT)
    return {
        name: sum(a != b for a, b in zip(before, verdicts(name), strict=True)) for name in QUANTISED
    }


def measure(
    bundle: Bundle, options: argparse.Namespace, work: Path
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The record of every setting, and what is changed in verdicts."""
    model = bundle.manifest.model
    dataset = open_dataset(options.calibration)
    images = [item.pixels for item in read_images(dataset, model.input) if isinstance(item, Image)]
    sides = contenders(bundle, images, work)
    settings: list[dict[str, Any]] = []
    flips: dict[str, Any] = {}
    for threads in options.threads:
        with processes(sides, threads) as opened:
            flips = flips or {
                "images": len(images),
                "changed": changed_verdicts(opened, np.stack(images), model),
            }
            for batch in options.batches:
                frames = np.stack(images[:: len(images) // batch][:batch])
                turns = rounds(
                    opened,
                    frames,
                    count=options.rounds,
                    batches=_BATCHES_PER_TURN.get(batch, 2),
                )
                about = {"batch": batch, "threads": threads, "load": os.getloadavg()[0]}
                settings.append({**about, **compare(turns)})
                show(settings[-1])
    return settings, flips


def show(record: dict[str, Any]) -> None:
    """Print one setting's table."""
    print(f"\nbatch {record['batch']}, {record['threads']} thread(s), load {record['load']:.1f}")
    print(
        f"  {'':<24}{'wall ms':>9}{'CPU ms':>9}   {record['ours']} is so many times as fast (CPU)"
    )
    for name, wall in record["ms_per_image"].items():
        times, cpu_times = (
            str(Ratio(**record[of][name])) if name in record[of] else ""
            for of in ("times_as_fast_as", "times_as_fast_as_by_cpu_time")
        )
        print(
            f"  {name:<24}{wall:9.2f}{record['cpu_ms_per_image'][name]:9.2f}   {times:<22} {cpu_times}"
        )
    missed = [name for name, met in record["aims_met"].items() if not met]
    print(f"  aims missed: {', '.join(missed) or 'none'}", flush=True)


def _record(found: Ratio) -> dict[str, float]:
    return {"median": found.median, "low": found.low, "high": found.high}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bundle", default="demo", help="folder NAME/VERSION, or `demo`")
    parser.add_argument("--calibration", type=Path, default=Path("calibration_data"))
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=40, help="turns of each side and setting")
    parser.add_argument("--out", type=Path, help="default docs/results/engine-speed.json")
    options = parser.parse_args()
    bundle = open_bundle(options.bundle)
    about = setting(*_PACKAGES)
    with tempfile.TemporaryDirectory() as work:
        settings, flips = measure(bundle, options, Path(work))
    result = {
        **about,
        "bundle": bundle.title,
        "int8_sha256": bundle.manifest.files[bundle.variant("int8").file],
        "rounds": options.rounds,
        "side": bundle.manifest.model.input.height,
        "verdicts": flips,
        "settings": settings,
    }
    if options.out:
        write_json(options.out, result)
    path = options.out or write_result("engine-speed", result)
    print(f"\nverdicts changed of {flips['images']}: {flips['changed']}")
    print(f"written to {os.path.relpath(path)}")


if __name__ == "__main__":
    main()
