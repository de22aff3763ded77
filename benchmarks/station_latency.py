"""How fast a station answers, and what a part costs: `python -m benchmarks.station_latency`.

- Sustained parts a second of a daemon that is fed as fast as it takes, beside the bare engine's loop, in
  turns; and the CPU that a part costs it. A control tells what the machine itself takes from the bare
  loop as soon as its other core is busy, by a process that shares nothing with it.
- From a trigger to the decision at several rates, for parts that arrive and parts that are announced
  (`paced_stations`), and the bare engine that is asked at the same pace. The stations with the fewest
  parts a second run beside each other, since a thousand parts are a quarter of an hour.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from functools import partial
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
from benchmarks.paced_stations import KINDS, WARM_UP_S, Kind, paced
from benchmarks.picture_stream import picture_stream
from benchmarks.running_stations import (
    BATCH,
    ENGINE,
    FLAGS,
    PRECISION,
    THREADS,
    Stations,
    Usage,
    percentiles,
    write_parts,
)
from benchmarks.setting import setting, write_json
from benchmarks.turns import ratio
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.mes.private_broker import PrivateBroker

SECONDS = {50.0: 24.0, 10.0: 105.0, 1.0: 1020.0}
"""Parts a second, and how long: a thousand parts for the last percentile."""
BESIDE = 1.0
"""Rate at which stations run beside each other."""
ENGINE_S = 120.0
"""The engine alone is asked for so long at most."""
STATIONS = (1, 4, 16, 48)
_AWAY_S = 2.0


class Sizes:
    """How much is measured: the whole, or as little as a test of the benchmark itself needs."""

    def __init__(self, *, short: bool) -> None:
        self.rounds = 1 if short else 9
        self.frames = 120 if short else 2000
        self.seconds = {50.0: 4.0, BESIDE: 4.0} if short else SECONDS
        self.stations = (1, 2) if short else STATIONS
        self.grown_s = 4.0 if short else 12.0
        self.kills = 1 if short else 3


def paced_engine(bundle: Bundle, work: Path, rate: float, seconds: float) -> dict[str, Any]:
    """Milliseconds of the engine alone for one frame after the other at an even pace."""
    frames = _clean_frames(work, bundle, 200)
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
    return {"rate": rate, "bare_engine_ms": percentiles(took)}


def _clean_frames(work: Path, bundle: Bundle, count: int) -> np.ndarray:
    crops = work / "clean"
    shutil.rmtree(crops, ignore_errors=True)
    crops.mkdir()
    write_crops(crops, count)
    leave_what_is_inspected(crops, bundle)
    return decodable(crops, bundle)


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
    disturbed: list[float] = []
    for _ in range(sizes.rounds):
        bare.append(bare_loop(bundle, PRECISION, ENGINE, frames, BATCH, THREADS))
        with _busy_core():
            disturbed.append(bare_loop(bundle, PRECISION, ENGINE, frames, BATCH, THREADS))
        seen = daemon(crops, count, broker, PRECISION, ENGINE, BATCH, THREADS)
        cpu.append(seen["cpu_s"] / count * 1000)
        whole.append(seen["images_per_s"])
    return {
        "parts_per_s": statistics.median(whole),
        "bare_images_per_s": statistics.median(bare),
        "daemon_over_bare": asdict(ratio(whole, bare)),
        "bare_beside_a_busy_core_over_bare": asdict(ratio(disturbed, bare)),
        "cpu_ms_per_part_start_included": statistics.median(cpu),
        "gaps": engine_gaps(crops, broker),
        "rounds": {"daemon": whole, "bare": bare, "bare_beside_a_busy_core": disturbed},
    }


@contextmanager
def _busy_core() -> Iterator[None]:
    """A process that computes without pause and touches no memory to speak of."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        time.sleep(0.5)
        try:
            yield
        finally:
            process.kill()


def grown(broker: PrivateBroker, work: Path, sizes: Sizes, number: int) -> dict[str, Any]:
    """So many stations on one broker, one part a second each."""
    recording = work / f"grown-{number}"
    shutil.rmtree(recording, ignore_errors=True)
    # Long enough for the last to start while the first is at work.
    write_parts(recording, rate=1.0, count=int(sizes.grown_s + WARM_UP_S + 10 + 3 * number))
    sources = [("--source", f"recording:{recording}")] * number
    with Stations(broker.address, sources, FLAGS) as stations:
        stations.listen(until=lambda: len({part.station for part in stations.parts}) == number)
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
        for number in sizes.stations:
            cases[f"stations {number}"] = partial(grown, broker, place, sizes, number)
        cases["recovery"] = partial(recovery, broker, place, sizes)
        for rate, seconds in sizes.seconds.items():
            cases[f"engine {rate:g}"] = partial(
                paced_engine, bundle, place, rate, min(seconds, ENGINE_S)
            )
            groups = [KINDS] if rate == BESIDE else [(kind,) for kind in KINDS]
            for kinds in groups:
                cases[f"paced {rate:g} {', '.join(map(str, kinds))}"] = partial(
                    _paced, broker.address, place, kinds, rate, seconds
                )
        found = measured(cases, work / "cases.json")
    write_json(
        arguments.out,
        {
            **about,
            "options": {"short": arguments.short, **FLAGS},
            "sustained": found["sustained"],
            "engine": [found[name] for name in cases if name.startswith("engine")],
            "paced": [
                {**row, "load_before": found[name]["load_before"]}
                for name in cases
                if name.startswith("paced")
                for row in found[name]["rows"]
            ],
            "stations": [found[name] for name in cases if name.startswith("stations")],
            "recovery": found["recovery"],
        },
    )
    print(f"written to {os.path.relpath(arguments.out)}")


def _paced(
    broker: str, place: Path, kinds: Sequence[Kind], rate: float, seconds: float
) -> dict[str, Any]:
    return {"rows": paced(broker, place, kinds, rate=rate, seconds=seconds)}


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
