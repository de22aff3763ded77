"""What watching for drift costs: `python -m benchmarks.drift_cost`.

Microseconds a part on one core, bytes of state, and what a part costs with drift on and off:

- within one process, in many short turns: CPU time of a part's whole way from the bytes of a file
  through gate, engine, verdict and journal, with and without measuring and watching. Two turns that are
  compared follow each other within a second, so what else the machine does is nearly the same for both.
  What a station does every five seconds, publish its state with the estimates and save the evidence, is
  timed by itself (`state_ms`) and told as a share of one core;
- the daemon with its broker, the two taking turns: throughput as a subscriber at the MES sees it. On a
  busy machine that is too noisy to show a difference of a per cent.
"""

import argparse
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np

from benchmarks.daemon_turns import on_and_off
from benchmarks.drift_line import PARTS_PER_DAY, START, part_of, record, reference_of
from benchmarks.line_speed import write_crops
from benchmarks.setting import setting, write_result
from benchmarks.turns import ratio
from edge_runtime.bundle import DRIFT, Bundle, open_bundle
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.station_id import StationId
from edge_runtime.decoding import decode
from edge_runtime.drift.estimate import FEWEST_PARTS
from edge_runtime.drift.evidence_file import EvidenceFile
from edge_runtime.drift.log import DriftLog
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.statistics import measure
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.identity import Identity
from edge_runtime.inspection import Inspector, Judgement, Moment, gate
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.parts import PartAnswer, ViewAnswer
from edge_runtime.triggers.base import Announcement
from optimize import package
from optimize.builder.answer_reference import answer_reference

_BATCH, _TURN_PARTS = 8, 64
_STATES_EVERY_MS = 5000


def with_answers(reference: DriftReference) -> DriftReference:
    """The same with made-up answers to 1,200 images: what they say does not matter to what they cost."""
    spec, rng = open_bundle("demo").manifest.model, np.random.default_rng(1)
    truths = rng.choice(spec.labels, 1200, p=[0.02, 0.02, 0.02, 0.9, 0.02, 0.02])
    logits = rng.normal(0, 1, (1200, len(spec.labels))).astype(np.float32)
    logits[np.arange(1200), [spec.labels.index(truth) for truth in truths]] += 5
    answers = answer_reference(logits, truths.tolist(), [""] * 1200, spec)
    return reference.model_copy(update={"answers": answers})


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


def answer_of(judged: Judgement) -> PartAnswer:
    """What the station answers for a part of one view."""
    return PartAnswer(
        announcement=Announcement(
            key=judged.frame.part_id, part_id=judged.frame.part_id, at=0.0, triggered_at=None
        ),
        captured_at=judged.frame.captured_at,
        decision=judged.decision,
        decided=Moment(monotonic=judged.decided, utc=judged.decided_at),
        timings_ms=judged.timings_ms,
        views=(ViewAnswer(camera=0, judgement=judged, decision=judged.decision),),
        complete=True,
        shed=False,
    )


class Way:
    """A part's way through the station, without threads, so that its CPU time can be told."""

    def __init__(self, bundle: Bundle, reference: DriftReference, state: Path) -> None:
        variant = bundle.variant("int8")
        self._model = bundle.manifest.model
        self._engine = open_engine("onnxruntime", bundle.model_file(variant), self._model, 1)
        self._inspector = Inspector(self._engine, self._model)
        self._journal = Journal(state)
        station = StationId.parse("L01-S1")
        self._identity = Identity(
            boot_id="bench",
            site="bench",
            station=station,
            bundle=bundle.title,
            model_sha256="0" * 64,
            config_sha256="0" * 64,
            is_simulated=True,
        )
        evidence = EvidenceFile(state, learnt_with="bench")
        self._log = DriftLog(
            boot_id="bench",
            site="bench",
            station=station,
            bundle=bundle.title,
            monitor=evidence.monitor(reference, parts_per_day=PARTS_PER_DAY),
            evidence=evidence,
        )

    def turn(self, files: Sequence[bytes], *, watched: bool) -> float:
        """Milliseconds of CPU time a part."""
        began = time.process_time()
        for start in range(0, len(files), _BATCH):
            batch = [
                gate(
                    Frame(part_id=f"P{start + n}", captured_at=START, arrived=0.0, image=content),
                    self._model.input,
                    measure if watched else None,
                )
                for n, content in enumerate(files[start : start + _BATCH])
            ]
            judged = self._inspector.judge(batch)
            first = self._journal.next_seq
            verdicts = [
                self._identity.verdict(first + n, answer_of(each), self._model.decision.thresholds)
                for n, each in enumerate(judged)
            ]
            self._journal.append([Entry(seq=v.seq, body=v.to_json().encode()) for v in verdicts])
            if watched:
                self._log.observe(part_of(each, self._model) for each in judged)
        return (time.process_time() - began) / len(files) * 1e3

    def state(self) -> float:
        """Milliseconds of CPU time for what is said and saved every five seconds."""
        began = time.process_time()
        self._log.snapshot().to_json()
        self._log.save(at_once=True)
        return (time.process_time() - began) * 1e3

    def close(self) -> None:
        """Let go of engine and journal."""
        self._journal.close()
        self._engine.close()


def in_turns(
    bundle: Bundle, reference: DriftReference, crops: Path, state: Path, turns: int
) -> dict[str, list[float]]:
    """CPU milliseconds a part by side, turn by turn, the order drawn anew for each pair; and of the
    state."""
    files = [file.read_bytes() for file in sorted(crops.iterdir())][:_TURN_PARTS]
    draw = random.Random(2)
    found: dict[str, list[float]] = {"on": [], "off": []}
    states: list[float] = []
    with closing(Way(bundle, reference, state)) as way:
        for _ in range(2):
            for side in found:
                way.turn(files, watched=side == "on")
        for _ in range(turns):
            for side in draw.sample(["on", "off"], 2):
                found[side].append(way.turn(files, watched=side == "on"))
            states.append(way.state())
    # Without the first ones, for which there were too few parts to estimate anything.
    return found | {"state": states[FEWEST_PARTS // _TURN_PARTS :]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=7, help="of the daemon")
    parser.add_argument("--turns", type=int, default=150, help="of each side within one process")
    arguments = parser.parse_args()
    about = setting("onnxruntime", "numpy", "opencv-python-headless", "paho-mqtt")
    reference = with_answers(reference_of(record(505, np.arange(0, 37, 2.0), 10)))
    folder = Path(tempfile.mkdtemp(prefix="drift-cost-"))
    try:
        (crops := folder / "crops").mkdir()
        write_crops(crops, arguments.frames)
        bundle = watched_bundle(folder, reference)
        monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
        costs = microseconds(crops, reference, 30)
        turns = in_turns(open_bundle(bundle), reference, crops, folder / "state", arguments.turns)
        daemons = on_and_off(
            *(crops, arguments.frames),
            on=["--drift-watch"],
            off=["--no-drift-watch"],
            rounds=arguments.rounds,
            bundle=str(bundle),
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "microseconds_per_part": costs,
        "statistics_watched": len(reference.measures) + len(reference.shares),
        "state_bytes": monitor.state_bytes(),
        "reference_bytes": len(reference.to_json()),
        "cpu_on_over_off_in_turns": precise(turns["on"], turns["off"]),
        "cpu_ms_per_part_in_turns": {
            side: statistics.median(turns[side]) for side in ("on", "off")
        },
        "state_ms": statistics.median(turns["state"]),
        "state_share_of_one_core": statistics.median(turns["state"]) / _STATES_EVERY_MS,
        "parts_per_turn": _TURN_PARTS,
        **daemons,
    }
    for key in list(result)[len(about) + 1 : -1]:
        print(f"{key:<24} {result[key]}")
    print(f"written to {os.path.relpath(write_result('drift-cost', result))}")


def precise(over: list[float], under: list[float]) -> dict[str, float]:
    """A ratio to four digits, with its 95 % interval: it is a per cent that is asked for."""
    found = ratio(over, under)
    return {"median": found.median, "low": found.low, "high": found.high}


if __name__ == "__main__":
    main()
