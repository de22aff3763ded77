"""Run a station on Aravis's fake GigE camera for long, and break the camera again and again.

    python -m tests.faults.gige_soak --minutes 60 --out docs/results/gige-soak.json

Every few minutes the camera is killed, frozen, or its process in the station's machine is killed. Seen
are the time until the fault is known and the camera is back, memory, descriptors, processes and shared
memory of the station, and whether every frame that it took in was answered. Two controls, a twentieth of
the time each, must be caught. With `--resume` what the result already holds is not run again.

The fake camera answers on one port of the machine, 3956: nothing else may use it meanwhile. As root,
`unshare --net sh -c 'ip link set lo up; python -m ...'` gives the run a loopback of its own.
"""

import argparse
import json
import logging
import os
import re
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest

from benchmarks.setting import setting, write_json
from edge_runtime.mes.private_broker import PrivateBroker
from tests.fake_gige import FakeGigeCamera
from tests.faults.belongings import Belongings
from tests.reliability.consumer import Consumer
from tests.reliability.daemon import PRODUCT, Daemon, Station, broken_program
from tests.reliability.reckoning import Reckoning, reckon, rows
from tests.tiny_bundle import write_bundle

_LOG = logging.getLogger(__name__)
GROWTH_LIMIT_MB = 20.0
KNOWN_WITHIN_S = 10.0
BACK_WITHIN_S = 5.0
AWAY_S = 12.0
"""How long the camera stays away."""
_SHOWN = 30
"""Samples written into the result at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the station had at one moment, its camera's process included."""

    at: float
    """Seconds after the warm-up."""
    resident_mb: float
    """Of the station's own process."""
    camera_mb: float
    """Of its camera's processes together."""
    children: int
    descriptors: int
    mappings: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One fault: what was done and how long it took until it was known, and mended."""

    kind: str
    at: float
    known_s: float | None
    """From the fault to the station's word about it; None if that never came."""
    back_s: float | None
    """From the moment the camera was well again to the first frame that could be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GigeSoak:
    """What was seen."""

    seconds: float
    samples: tuple[Sample, ...] = field(repr=False)
    incidents: tuple[Incident, ...]
    exit_code: int
    frames: int
    """Taken in, by the station's own last word."""
    verdicts: int
    lost: int
    """Frames that the camera gave and the station could not take in, by its own count."""
    skipped: int
    """Numbers missing between two frames of one connection; each must be among the lost."""
    restarts: int
    not_inspected: int
    reckoning: Reckoning

    @property
    def trend_mb(self) -> float:
        """Growth of the station's memory along the straight line that fits best."""
        at = [sample.at for sample in self.samples]
        resident = [sample.resident_mb for sample in self.samples]
        return float(np.polyfit(at, resident, 1)[0] * self.seconds)

    def growth(self, what: Callable[[Sample], float]) -> float:
        """Between the most of the first quarter and the most of the last."""
        quarter = max(1, len(self.samples) // 4)
        return max(map(what, self.samples[-quarter:])) - max(map(what, self.samples[:quarter]))

    def faults(self, limit_mb: float = GROWTH_LIMIT_MB, slack_s: float = 0.0) -> tuple[str, ...]:
        """What is wrong, in words. `slack_s` is what a loaded machine may add to a recovery."""
        found = list(self.reckoning.faults)
        if self.trend_mb > limit_mb:
            found.append(f"memory grew by {self.trend_mb:.1f} MB: at most {limit_mb:g} are allowed")
        for name, what in _COUNTED.items():
            if (grown := self.growth(what)) > 0:
                found.append(f"{grown:.0f} more {name} at the end than at the beginning")
        if self.frames != self.verdicts:
            found.append(f"{self.frames} frames were taken in and {self.verdicts} answered")
        if self.skipped > self.lost:
            found.append(f"{self.skipped} frames are missing, {self.lost} were said to be lost")
        if self.exit_code:
            found.append(f"exit code {self.exit_code}")
        for incident in self.incidents:
            if incident.known_s is None or incident.known_s > KNOWN_WITHIN_S + slack_s:
                found.append(f"{incident.kind}: known after {incident.known_s} s")
            if incident.back_s is None or incident.back_s > BACK_WITHIN_S + slack_s:
                found.append(f"{incident.kind}: back after {incident.back_s} s")
        return tuple(found)


_COUNTED: dict[str, Callable[[Sample], float]] = {
    "processes": lambda sample: sample.children,
    "descriptors": lambda sample: sample.descriptors,
    "mappings of shared memory": lambda sample: sample.mappings,
}


class _Watch:
    """Samples while it waits."""

    def __init__(self, daemon: Daemon, began: float, every_s: float) -> None:
        self._daemon = daemon
        self._began = began
        self._every_s = every_s
        self._next = began
        self.samples: list[Sample] = []

    def wait(self, until: float, enough: Callable[[], bool] = lambda: False) -> float | None:
        """The moment when it was enough; None if it was not by `until`."""
        while (now := time.monotonic()) < until and self._daemon.running:
            if enough():
                return now
            if now >= self._next:
                self._next = now + self._every_s
                self._sample(now)
            time.sleep(0.02)
        return None

    def _sample(self, now: float) -> None:
        has = Belongings.of(self._daemon.pid)
        self.samples.append(
            Sample(
                at=round(now - self._began, 1),
                resident_mb=round(self._daemon.resident_mb(), 1),
                camera_mb=round(sum(map(_resident_mb, has.children)), 1),
                children=len(has.children),
                descriptors=has.descriptors,
                mappings=has.mappings,
            )
        )


def soak(
    folder: Path,
    bundle: Path,
    *,
    seconds: float,
    warm_up_s: float,
    incident_every_s: float,
    program: tuple[str, ...] = PRODUCT,
    away_s: float = AWAY_S,
    so_far: Callable[[Sequence[Incident], Sequence[Sample]], object] = lambda *_: None,
) -> GigeSoak:
    """Run a station on the camera, and break it so often; `so_far` is told of each incident."""
    with FakeGigeCamera() as camera, PrivateBroker() as broker, Consumer(broker.port) as consumer:
        station = Station(
            folder=folder,
            broker=broker.address,
            bundle=bundle,
            program=program,
            flags={"source": f"gige:{camera.serial}", "engine": "onnxruntime"},
        )
        with station.start() as daemon:
            if not consumer.wait_for_more(10, timeout_s=60.0):
                raise RuntimeError(f"no verdicts from the fake camera: {daemon.words()}")
            time.sleep(warm_up_s)
            began = time.monotonic()
            watch = _Watch(daemon, began, max(0.25, min(10.0, seconds / 300)))
            incidents = []
            for number, kind in enumerate(cycle(INCIDENTS), start=1):
                at = began + number * incident_every_s
                if at + 3 * away_s > began + seconds:
                    break
                watch.wait(at)
                incidents.append(_break(kind, camera, daemon, watch, away_s, began))
                _LOG.info("%s", incidents[-1])
                so_far(incidents, watch.samples)
            watch.wait(began + seconds)
            exit_code = daemon.stop()
            words = daemon.words()
        consumer.wait(lambda consumer: time.monotonic() > consumer.heard_at + 1.0)
        frames, verdicts = _last_word(words)
        skipped, not_inspected = _parts(station.state_dir)
        health = consumer.health()
        return GigeSoak(
            seconds=seconds,
            samples=tuple(watch.samples),
            incidents=tuple(incidents),
            exit_code=exit_code,
            frames=frames,
            verdicts=verdicts,
            lost=health["frames_lost"],
            skipped=skipped,
            restarts=health["camera_restarts"],
            not_inspected=not_inspected,
            reckoning=reckon(station.state_dir, consumer, passed_unseen=lambda _: ()),
        )


INCIDENTS = ("camera killed", "camera frozen", "camera's process killed")


def _break(
    kind: str, camera: FakeGigeCamera, daemon: Daemon, watch: _Watch, away_s: float, began: float
) -> Incident:
    said = len(daemon.words())
    broke = time.monotonic()
    match kind:
        case "camera killed":
            camera.unplug()
        case "camera frozen":
            camera.freeze()
        case _:
            for pid in Belongings.of(daemon.pid).children:
                os.kill(pid, signal.SIGKILL)
    known = watch.wait(broke + away_s, lambda: " WARNING camera gige:" in daemon.words()[said:])
    well = broke
    if kind.startswith("camera "):
        watch.wait(broke + away_s)
        well = time.monotonic()
        if kind == "camera killed":
            camera.plug_in()
        else:
            camera.thaw()
    back = watch.wait(well + 6 * BACK_WITHIN_S, lambda: "is back after" in daemon.words()[said:])
    return Incident(
        kind=kind,
        at=round(broke - began, 1),
        known_s=None if known is None else round(known - broke, 2),
        back_s=None if back is None else round(back - well, 2),
    )


def _resident_mb(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:  # it ended since it was listed
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _last_word(words: str) -> tuple[int, int]:
    """Frames and verdicts, as the station said when it ended."""
    found = re.search(r"edge-inspect: (\d+) frames, (\d+) verdicts", words)
    if found is None:
        raise RuntimeError(f"the station did not end in order: {words[-2000:]}")
    return int(found[1]), int(found[2])


def _parts(state_dir: Path) -> tuple[int, int]:
    """Numbers that are missing between those of one connection, and parts that were not inspected."""
    numbers: dict[str, list[int]] = defaultdict(list)
    not_inspected = 0
    for _, _, body in rows(state_dir):
        verdict = json.loads(body)
        number, _, connection = verdict["part_id"].rpartition("-")[2].partition("@")
        numbers[connection].append(int(number))
        not_inspected += verdict["verdict"] == "not_inspected"
    skipped = sum(given[-1] - len(given) for given in numbers.values())
    for given in numbers.values():
        if given != sorted(set(given)):
            raise RuntimeError("a part was answered twice, or out of order")
    return skipped, not_inspected


# --- the command ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    program: tuple[str, ...]
    share: float
    """Of the whole time."""
    must_be_caught_by: str | None = None


_RUNS = {
    "control: leaks memory": _Run(
        program=broken_program("leak"), share=0.05, must_be_caught_by="memory grew"
    ),
    "control: keeps lost cameras": _Run(
        program=broken_program("keep-lost-cameras"),
        share=0.05,
        must_be_caught_by="more descriptors",
    ),
    "station": _Run(program=PRODUCT, share=1.0),
}


def main(words: Sequence[str] | None = None) -> int:
    """The long form; returns 1 when the station has a fault or a control was not caught."""
    options = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--minutes", type=float, default=60.0, help="after two of warm-up")
    options.add_argument("--out", type=Path, required=True, help="JSON file for the result")
    options.add_argument("--resume", action="store_true", help="run only what the result lacks")
    arguments = options.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    result: dict[str, object] = {"setting": setting("paho-mqtt", "numpy", "onnxruntime")}
    if arguments.resume and arguments.out.exists():
        result = json.loads(arguments.out.read_text(encoding="utf-8"))
    sound = True
    with tempfile.TemporaryDirectory(prefix="edge-inspect-gige-soak-") as name:
        bundle = write_bundle(Path(name))
        for title, run in _RUNS.items():
            if title in result:
                _LOG.info("%s: there already", title)
                continue
            folder = Path(name) / title.replace(":", "").replace(" ", "-")
            folder.mkdir()
            seconds = run.share * arguments.minutes * 60
            try:
                seen = soak(
                    folder,
                    bundle,
                    seconds=seconds,
                    warm_up_s=min(120.0, seconds / 4),
                    incident_every_s=min(300.0, max(seconds / 4, 3 * AWAY_S)),
                    program=run.program,
                    so_far=lambda incidents, samples, title=title: write_json(  # type: ignore[misc]
                        arguments.out,
                        {
                            **result,
                            f"{title}, not finished": {
                                "incidents": [asdict(incident) for incident in incidents],
                                "newest": asdict(samples[-1]) if samples else None,
                            },
                        },
                    ),
                )
            except pytest.skip.Exception as exc:
                sys.exit(f"gige_soak: {exc}")
            faults = seen.faults()
            caught = run.must_be_caught_by
            as_expected = not faults if caught is None else any(caught in fault for fault in faults)
            sound = sound and as_expected
            result[title] = {**_summary(seen), "faults": faults, "as_expected": as_expected}
            _LOG.info("%s: %s", title, faults or "no fault")
            write_json(arguments.out, result)
    return 0 if sound else 1


def _summary(seen: GigeSoak) -> dict[str, object]:
    step = max(1, -(-len(seen.samples) // _SHOWN))
    return {
        "seconds": seen.seconds,
        "frames": seen.frames,
        "verdicts": seen.verdicts,
        "at_the_consumer": seen.reckoning.received,
        "not_inspected": seen.not_inspected,
        "frames_lost": seen.lost,
        "numbers_missing": seen.skipped,
        "camera_restarts": seen.restarts,
        "incidents": [asdict(incident) for incident in seen.incidents],
        "longest_known_s": max((i.known_s or np.inf for i in seen.incidents), default=None),
        "longest_back_s": max((i.back_s or np.inf for i in seen.incidents), default=None),
        "trend_mb": round(seen.trend_mb, 2),
        "limit_mb": GROWTH_LIMIT_MB,
        "growth": {name: seen.growth(what) for name, what in _COUNTED.items()},
        "samples": [asdict(sample) for sample in seen.samples[::step]],
    }


if __name__ == "__main__":
    sys.exit(main())
