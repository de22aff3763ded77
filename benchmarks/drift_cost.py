"""What watching for drift costs: `python -m benchmarks.drift_cost`.

Microseconds a part on one core, bytes of state, and what a part costs with drift on and off:

- within one process, in many short turns: CPU time of a part's whole way from the bytes of a file
  through gate, engine, verdict and journal, with and without both monitors. Two turns that are compared
  follow each other within a second, so what else the machine does is nearly the same for both. The
  quality gate measures frames anyhow; a station without one measures them for the monitors alone, and is
  told beside it. What a station does every five seconds, publish its state with the estimates and save
  the evidence, is timed by itself (`state_ms`) and told as a share of one core;
- the daemon with its broker, the two taking turns: throughput as a subscriber at the MES sees it. On a
  busy machine that is too noisy to show a difference of a per cent.

All of it runs with the threads that `edge-inspect` allows its libraries, in processes of their own.
"""

import argparse
import multiprocessing
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.daemon_turns import on_and_off
from benchmarks.drift_line import PARTS_PER_DAY, START, part_of, record
from benchmarks.line_speed import write_crops
from benchmarks.setting import setting, write_result
from benchmarks.turns import ratio
from edge_runtime.assembly.watching import open_drift
from edge_runtime.bundle import Bundle, open_bundle
from edge_runtime.cli.__main__ import ONE_THREAD
from edge_runtime.config import load_config
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.station_id import StationId
from edge_runtime.decoding import decode
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.estimate import FEWEST_PARTS
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.statistics import measure
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.identity import Identity
from edge_runtime.inspection import Inspector, Judgement, Moment, gate
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.parts import PartAnswer, ViewAnswer
from edge_runtime.quality.gate import QualityGate
from edge_runtime.triggers.base import Announcement

_BATCH, _TURN_PARTS = 8, 64
_STATES_EVERY_MS = 5000
_GATES = {"with the quality gate": True, "without the quality gate": False}
Turns = dict[tuple[str, str], list[float]]
"""CPU milliseconds a part, turn by turn, by gate and side."""


def monitors(bundle: Bundle) -> tuple[Monitor, EmbeddingMonitor]:
    """Both, with the references of a bundle that has them."""
    statistics, features = bundle.drift_reference(), bundle.embedding_reference()
    if statistics is None or features is None:
        raise SystemExit(f"bundle {bundle.title} has no references for drift: build it again")
    return (
        Monitor(statistics, parts_per_day=PARTS_PER_DAY),
        EmbeddingMonitor(features, parts_per_day=PARTS_PER_DAY),
    )


def microseconds(crops: Path, repeats: int) -> dict[str, Any]:
    """CPU of measuring a frame and of watching a part, medians over rounds, and bytes of state."""
    frames = [decode(file.read_bytes()) for file in sorted(crops.iterdir())[:50]]
    parts = record(303, [3.0], 64)[0].parts
    of_statistics, of_features = monitors(open_bundle("demo"))

    def took(act: Callable[[Any], object], each: Sequence[object]) -> float:
        rounds = []
        for _ in range(repeats):
            began = time.process_time()
            for one in each:
                act(one)
            rounds.append((time.process_time() - began) / len(each) * 1e6)
        return statistics.median(rounds)

    return {
        "microseconds_per_part": {
            "measure": took(measure, frames),
            "observe_statistics": took(of_statistics.observe, parts),
            "observe_features": took(of_features.observe, parts),
        },
        "bytes_of_state": {
            "statistics": of_statistics.state_bytes(),
            "features": of_features.state_bytes(),
            "of_which_the_features_reference": of_features.embedding.state_bytes(),
        },
    }


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

    def __init__(self, state: Path) -> None:
        given = {"station": "L01-S1", "source": "simulated:gen3", "state_dir": str(state)}
        config = load_config(given, {}, None)
        bundle = open_bundle("demo")
        variant, self._model = bundle.variant("int8"), bundle.manifest.model
        self._engine = open_engine("onnxruntime", bundle.model_file(variant), self._model, 1)
        self._inspector = Inspector(self._engine, self._model)
        self._journal = Journal(state)
        self._identity = Identity(
            boot_id="bench",
            site="bench",
            station=StationId.parse("L01-S1"),
            bundle=bundle.title,
            model_sha256="0" * 64,
            config_sha256="0" * 64,
            is_simulated=True,
        )
        self._log = open_drift(config, bundle, self._identity, None)
        quality = bundle.quality_reference()
        self._gate = None if quality is None else QualityGate(quality, live=False)

    def turn(self, files: Sequence[bytes], *, gated: bool, watched: bool) -> float:
        """Milliseconds of CPU time a part."""
        began = time.process_time()
        for start in range(0, len(files), _BATCH):
            batch = [
                gate(
                    Frame(part_id=f"P{start + n}", captured_at=START, arrived=0.0, image=content),
                    self._model.input,
                    measure if watched else None,
                    self._gate if gated else None,
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


def in_turns(crops: Path, state: Path, turns: int) -> tuple[Turns, list[float]]:
    """What the turns took, their order drawn anew each time; and the state, milliseconds."""
    files = [file.read_bytes() for file in sorted(crops.iterdir())][:_TURN_PARTS]
    draw = random.Random(2)
    found: Turns = {(gate, side): [] for gate in _GATES for side in ("on", "off")}
    states: list[float] = []
    with closing(Way(state)) as way:

        def take(gate: str, side: str) -> float:
            return way.turn(files, gated=_GATES[gate], watched=side == "on")

        for both in found:
            take(*both)
        for _ in range(turns):
            for both in draw.sample(list(found), len(found)):
                found[both].append(take(*both))
            states.append(way.state())
    # Without the first ones, for which there were too few parts to estimate anything.
    return found, states[-(-FEWEST_PARTS // (2 * _TURN_PARTS)) :]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=11, help="of the daemon")
    parser.add_argument("--turns", type=int, default=150, help="of each side within one process")
    arguments = parser.parse_args()
    about = setting("onnxruntime", "numpy", "opencv-python-headless", "paho-mqtt")
    folder = Path(tempfile.mkdtemp(prefix="drift-cost-"))
    try:
        (crops := folder / "crops").mkdir()
        write_crops(crops, arguments.frames)
        with _process_of_its_own() as process:
            costs = process.submit(microseconds, crops, 30).result()
            turns, states = process.submit(
                in_turns, crops, folder / "state", arguments.turns
            ).result()
        daemons = on_and_off(
            *(crops, arguments.frames),
            on=["--drift-watch"],
            off=["--no-drift-watch"],
            rounds=arguments.rounds,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        **costs,
        "cpu_on_over_off_in_turns": {
            gate: asdict(ratio(turns[gate, "on"], turns[gate, "off"])) for gate in _GATES
        },
        "cpu_ms_per_part_in_turns": {
            f"{gate}, {side}": statistics.median(taken) for (gate, side), taken in turns.items()
        },
        "state_ms": statistics.median(states),
        "state_share_of_one_core": statistics.median(states) / _STATES_EVERY_MS,
        "parts_per_turn": _TURN_PARTS,
        **daemons,
    }
    for key in list(result)[len(about) + 1 : -1]:
        print(f"{key:<24} {result[key]}")
    print(f"written to {os.path.relpath(write_result('drift-cost', result))}")


@contextmanager
def _process_of_its_own() -> Iterator[ProcessPoolExecutor]:
    """One in which the libraries are loaded anew, with the threads that a station's have."""
    os.environ.update(ONE_THREAD)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        yield process


if __name__ == "__main__":
    main()
