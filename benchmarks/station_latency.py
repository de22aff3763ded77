"""How fast a station answers, and what a part costs: `python -m benchmarks.station_latency`.

- Sustained parts a second of a daemon that is fed as fast as it takes, beside the bare engine's loop, in
  turns; and the CPU that a part costs it.
- From a frame's arrival to the decision at several rates, beside the bare engine that is asked at the
  same pace, in turns.
- The same for several stations on this machine with one broker: CPU and memory as they grow.
- How long until verdicts flow again after the camera's process or the broker was killed.

Every case is kept in `--work` as soon as it is measured, and a run that was stopped goes on with the
next. The daemons are processes of their own with durable journals, the broker is a private mosquitto.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.engine_gaps import engine_gaps
from benchmarks.line_speed import (
    bare_loop,
    daemon,
    decodable,
    leave_what_is_inspected,
    write_crops,
)
from benchmarks.picture_stream import picture_stream
from benchmarks.running_stations import Part, Stations, Usage, percentiles, write_parts
from benchmarks.setting import setting, write_json
from benchmarks.turns import ratio
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.mes.private_broker import PrivateBroker

RATES = (1.0, 10.0, 50.0)
"""Parts a second."""
CAMERAS = (1, 4)
"""That share the engine; the rate is that of all together."""
STATIONS = (1, 4, 16, 48)
PRECISION, ENGINE, BATCH, THREADS = "int8", "onnxruntime", 8, 1
FLAGS = {
    "variant": PRECISION,
    "engine": ENGINE,
    "max-batch": str(BATCH),
    "threads": str(THREADS),
    "log-level": "error",
}
WARM_UP_S = 3.0
"""The first parts of a run are not counted."""
_AWAY_S = 2.0


class Sizes:
    """How much is measured: the whole, or as little as a test of the benchmark itself needs."""

    def __init__(self, *, short: bool) -> None:
        self.rounds = 1 if short else 3
        self.frames = 120 if short else 2000
        self.seconds = dict.fromkeys(RATES, 4.0) if short else {1.0: 33.0, 10.0: 45.0, 50.0: 14.0}
        self.turns = dict.fromkeys(RATES, 1) if short else {1.0: 1, 10.0: 1, 50.0: 2}
        self.rates = (50.0,) if short else RATES
        self.stations = (1, 2) if short else STATIONS
        self.grown_s = 4.0 if short else 12.0
        self.kills = 1 if short else 3


def paced_engine(bundle: Bundle, frames: np.ndarray, rate: float, seconds: float) -> list[float]:
    """Milliseconds of the engine alone for one frame after the other at an even pace."""
    variant = bundle.variant(PRECISION)
    took: list[float] = []
    with closing(
        open_engine(ENGINE, bundle.model_file(variant), bundle.manifest.model, THREADS)
    ) as engine:
        for _ in range(10):
            engine.infer(frames[:1])
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            start = time.perf_counter()
            engine.infer(frames[number % len(frames)][None])
            took.append((time.perf_counter() - start) * 1000)
    return took


def sustained(bundle: Bundle, broker: str, work: Path, sizes: Sizes) -> dict[str, Any]:
    """Daemon and bare loop in turns, each as fast as it goes."""
    crops = work / "crops"
    shutil.rmtree(crops, ignore_errors=True)
    crops.mkdir()
    write_crops(crops, sizes.frames)
    count = leave_what_is_inspected(crops, bundle)
    frames = decodable(crops, bundle)
    bare: list[float] = []
    whole: list[float] = []
    cpu: list[float] = []
    for _ in range(sizes.rounds):
        bare.append(bare_loop(bundle, PRECISION, ENGINE, frames, BATCH, THREADS))
        seen = daemon(crops, count, broker, PRECISION, ENGINE, BATCH, THREADS)
        cpu.append(seen["cpu_s"] / count * 1000)
        whole.append(seen["images_per_s"])
    over = ratio(whole, bare)
    return {
        "parts_per_s": statistics.median(whole),
        "bare_images_per_s": statistics.median(bare),
        "daemon_over_bare": {"median": over.median, "low": over.low, "high": over.high},
        "cpu_ms_per_part_start_included": statistics.median(cpu),
        "gaps": engine_gaps(crops, broker, FLAGS, BATCH),
        "rounds": {"daemon": whole, "bare": bare},
    }


def paced(
    bundle: Bundle, broker: str, work: Path, sizes: Sizes, rate: float, cameras: int
) -> dict[str, Any]:
    """One station at a rate that its cameras share; of one camera, beside the bare engine in turns."""
    each = int(rate * sizes.seconds[rate] / cameras)
    recordings = []
    for camera in range(cameras):
        recordings.append(work / f"parts-{rate:g}-{cameras}-{camera}")
        shutil.rmtree(recordings[-1], ignore_errors=True)
        write_parts(recordings[-1], rate=rate / cameras, count=each, prefix=f"C{camera}")
    source = [word for folder in recordings for word in ("--source", f"recording:{folder}")]
    count = each * cameras
    warm = max(1, min(int(rate * WARM_UP_S), count // 4))
    alone: list[float] = []
    parts: list[Part] = []
    cpu_ms: list[float] = []
    for _ in range(sizes.turns[rate]):
        if cameras == 1:
            frames = _decoded(bundle, recordings[0])
            alone += paced_engine(bundle, frames, rate, sizes.seconds[rate] - WARM_UP_S)
        with Stations(broker, [source], FLAGS) as stations:
            stations.listen(parts=warm)
            before, seen = stations.usage(), len(stations.parts)
            stations.listen(parts=count - 1)
            after, until = stations.usage(), len(stations.parts)
            stations.wait()
            all_there(stations.parts, 1, count)
            parts += [part for part in stations.parts if part.seq > warm]
            cpu_ms.append((after.cpu_s - before.cpu_s) / (until - seen) * 1000)
    return {
        "rate": rate,
        "cameras": cameras,
        "arrival_to_decision_ms": percentiles([part.decision for part in parts if part.inspected]),
        "decision_to_broker_ms": percentiles([part.published for part in parts]),
        "inference_ms": percentiles([part.infer for part in parts if part.inspected]),
        "bare_engine_ms": percentiles(alone) if alone else None,
        "cpu_ms_per_part": statistics.median(cpu_ms),
        "not_inspected": sum(not part.inspected for part in parts),
    }


def grown(broker: PrivateBroker, work: Path, sizes: Sizes, number: int) -> dict[str, Any]:
    """So many stations on one broker, one part a second each."""
    recording = work / f"grown-{number}"
    shutil.rmtree(recording, ignore_errors=True)
    # Long enough for the last to start while the first is at work.
    write_parts(recording, rate=1.0, count=int(sizes.grown_s + WARM_UP_S + 10 + 3 * number))
    sources = [("--source", f"recording:{recording}")] * number
    with Stations(broker.address, sources, FLAGS) as stations:
        while len({part.station for part in stations.parts}) < number:
            stations.listen(for_s=0.5)
        stations.listen(for_s=WARM_UP_S)
        before, its_before, seen = stations.usage(), Usage.of([broker.pid]), len(stations.parts)
        stations.listen(for_s=sizes.grown_s)
        after, its_after = stations.usage(), Usage.of([broker.pid])
        parts = stations.parts[seen:]
    return {
        "stations": number,
        "parts": len(parts),
        "parts_per_s": len(parts) / sizes.grown_s,
        "arrival_to_decision_ms": percentiles([part.decision for part in parts]),
        "cpu_ms_per_part": (after.cpu_s - before.cpu_s) / len(parts) * 1000,
        "cpu_cores": (after.cpu_s - before.cpu_s) / sizes.grown_s,
        "broker_cpu_ms_per_part": (its_after.cpu_s - its_before.cpu_s) / len(parts) * 1000,
        "memory_mb_per_station": after.memory_mb / number,
    }


def recovery(broker: PrivateBroker, work: Path, sizes: Sizes) -> dict[str, Any]:
    """Seconds from a kill, or from the broker's return, to the next verdict at the MES."""
    crops = work / "pictures"
    crops.mkdir(exist_ok=True)
    write_crops(crops, 50)
    pictures = [file.read_bytes() for file in sorted(crops.iterdir())]
    camera: list[float] = []
    connection: list[float] = []
    with (
        picture_stream(pictures, 20.0) as address,
        Stations(broker.address, [("--source", address)], FLAGS) as stations,
    ):
        stations.listen(parts=40)
        for _ in range(sizes.kills):
            camera.append(_until_the_next(stations, _kill_the_camera(stations.processes[0].pid)))
            stations.listen(for_s=2.0)
            broker.kill()
            time.sleep(_AWAY_S)
            broker.start()
            connection.append(_until_the_next(stations, time.monotonic()))
            stations.listen(for_s=2.0)
    return {
        "source": "MJPEG over HTTP at 20 frames a second",
        "camera_process_killed_s": camera,
        "broker_away_s": _AWAY_S,
        "broker_back_s": connection,
    }


def _kill_the_camera(station: int) -> float:
    for thread in Path(f"/proc/{station}/task").iterdir():
        for child in (thread / "children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
    return time.monotonic()


def _until_the_next(stations: Stations, since: float) -> float:
    """Seconds until a verdict about a frame that came afterwards is heard."""
    known = len(stations.parts)
    while True:
        stations.listen(for_s=0.05)
        for part in stations.parts[known:]:
            if part.heard - (part.decision + part.published) / 1000 > since:
                return part.heard - since


def _decoded(bundle: Bundle, recording: Path) -> np.ndarray:
    crops = recording.with_name(f"{recording.name}-crops")
    shutil.rmtree(crops, ignore_errors=True)
    crops.mkdir()
    for file in sorted((recording / "frames").iterdir())[:200]:
        shutil.copy(file, crops)
    return decodable(crops, bundle)


def all_there(parts: Sequence[Part], stations: int, count: int) -> None:
    """Ends the program where a part that went in has no verdict."""
    found = {(part.station, part.seq) for part in parts}
    if len(found) != stations * count:
        raise SystemExit(f"{stations * count} parts went in, {len(found)} verdicts came out")


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, default=Path("runs/station-latency"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/station-latency.json"))
    parser.add_argument("--short", action="store_true", help="as little as shows that it works")
    arguments = parser.parse_args(argv)
    sizes = Sizes(short=arguments.short)
    about = setting("onnxruntime", "numpy", "opencv-python-headless", "paho-mqtt")
    bundle = open_bundle("demo")
    work: Path = arguments.work
    work.mkdir(parents=True, exist_ok=True)
    with PrivateBroker() as broker, tempfile.TemporaryDirectory(dir=work) as scratch:
        place = Path(scratch)
        cases: dict[str, Callable[[], dict[str, Any]]] = {
            "sustained": partial(sustained, bundle, broker.address, place, sizes)
        }
        for rate, cameras in product(sizes.rates, CAMERAS):
            cases[f"paced {rate:g} {cameras}"] = partial(
                paced, bundle, broker.address, place, sizes, rate, cameras
            )
        for number in sizes.stations:
            cases[f"stations {number}"] = partial(grown, broker, place, sizes, number)
        cases["recovery"] = partial(recovery, broker, place, sizes)
        found = measured(cases, work / "cases.json")
    write_json(
        arguments.out,
        {
            **about,
            "options": {"short": arguments.short, **FLAGS},
            "sustained": found["sustained"],
            "paced": [found[name] for name in cases if name.startswith("paced")],
            "stations": [found[name] for name in cases if name.startswith("stations")],
            "recovery": found["recovery"],
        },
    )
    print(f"written to {os.path.relpath(arguments.out)}")


def measured(cases: Mapping[str, Callable[[], dict[str, Any]]], kept: Path) -> dict[str, Any]:
    """Every case, those that were measured before from the file."""
    found: dict[str, Any] = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    for name, measure in cases.items():
        if name not in found:
            load, began = os.getloadavg()[0], time.monotonic()
            found[name] = {**measure(), "load_before": load}
            write_json(kept, found)
            print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return found


if __name__ == "__main__":
    main()
