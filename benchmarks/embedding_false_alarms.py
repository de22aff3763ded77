"""How often the embedding alarms where there is no drift: `python -m benchmarks.embedding_false_alarms`.

As `drift_false_alarms`, with both monitors on the same draws: stations run for 30 days at a module of
four parts every 16 s, drawn by whole modules from recordings of the simulated Gen-3 line, whose slow
variation is in them. A station alarms when either of its monitors does. Controls: a station whose
centre goes three deviations off from day 1 on must alarm, one whose goes half a deviation must not.
"""

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.drift_false_alarms import (
    PER_DAY,
    REFERENCE_DAYS,
    RUN_DAYS,
    around,
    interval,
)
from benchmarks.drift_line import PARTS_PER_DAY, Pool, moment, record, reference_of, together
from benchmarks.embedding_line import DrawnPlaces, Rows, embedding_of
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.drift import DriftLevel, DriftReference
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.levels import highest
from edge_runtime.drift.monitor import DAYS_BETWEEN_FALSE_DETECTIONS, Monitor
from edge_runtime.drift.window import BLOCK


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of one station."""

    alarms: int
    """Times that either monitor took the station to alarm."""
    embedding_alarms: int
    embedding_warnings: int
    moved: tuple[str, ...]
    """What of the features had moved whenever the embedding left ok."""


_SHARED: dict[str, tuple[DriftReference, EmbeddingReference, Sequence[Pool]]] = {}


def station(job: tuple[int, float]) -> Run:
    """One station of 30 days; its centre goes `shift` deviations off along the first axis on day 1."""
    seed, shift = job
    named, seen, pools = _SHARED["line"]
    monitor = Monitor(named, parts_per_day=PARTS_PER_DAY)
    embedding = EmbeddingMonitor(seen, parts_per_day=PARTS_PER_DAY)
    halves = [
        DrawnPlaces(together(around(pools, number)), monitor, embedding)
        for number in range(len(pools))
    ]
    rng, rows = np.random.default_rng([20261129, seed]), Rows(embedding)
    per_half = round(PARTS_PER_DAY / BLOCK / PER_DAY)
    station_before = embedding_before = DriftLevel.OK
    alarms = embedding_alarms = warnings = 0
    moved: list[str] = []
    for number in range(per_half * len(pools)):
        block = halves[number // per_half].block(rng)
        if shift and number >= per_half * PER_DAY:
            block.rows[:, 0] += shift
        monitor.take_block(moment(number), block.values, block.shares)
        rows.add(number, block.rows)
        level, both = embedding.level, highest((monitor.level, embedding.level))
        alarms += both is DriftLevel.ALARM is not station_before
        if level is not embedding_before:
            embedding_alarms += level is DriftLevel.ALARM
            warnings += embedding_before is DriftLevel.OK and level is DriftLevel.WARNING
            moved += [each.statistic for each in embedding.moved()]
        station_before, embedding_before = both, level
        if shift and embedding_alarms:
            break
    return Run(
        alarms=alarms,
        embedding_alarms=embedding_alarms,
        embedding_warnings=warnings,
        moved=tuple(sorted(set(moved))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--modules", type=int, default=40, help="recorded per half day")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    about = setting("numpy", "scipy", "onnxruntime")
    during = np.arange(REFERENCE_DAYS, REFERENCE_DAYS + RUN_DAYS, 1 / PER_DAY)
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:
        line = workers.starmap(
            record, [(606, [day], arguments.modules) for day in during], len(during) // 4
        )
        before = workers.apply(record, (505, np.arange(0, REFERENCE_DAYS, 1 / PER_DAY), 10))
    pools = [pool for half in line for pool in half]
    _SHARED["line"] = reference_of(before), embedding_of(before), pools
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:
        runs = workers.map(station, [(seed, 0.0) for seed in range(arguments.runs)], 1)
        far = workers.map(station, [(seed, 3.0) for seed in range(10)], 1)
        near = workers.map(station, [(seed, 0.5) for seed in range(2)], 1)
    months = arguments.runs * RUN_DAYS / 30
    alarms = sum(run.alarms for run in runs)
    own, warnings = (
        sum(run.embedding_alarms for run in runs),
        sum(run.embedding_warnings for run in runs),
    )
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "simulated": __doc__,
        "parts": int(PARTS_PER_DAY * RUN_DAYS * arguments.runs),
        "days_between_false_detections": DAYS_BETWEEN_FALSE_DETECTIONS,
        "false_alarms_of_both_monitors": alarms,
        "per_station_and_30_days": alarms / months,
        "interval_95": interval(alarms, months),
        "embedding_alarms_per_station_and_30_days": own / months,
        "embedding_alarms_interval_95": interval(own, months),
        "embedding_warnings_per_station_and_30_days": warnings / months,
        "embedding_warnings_interval_95": interval(warnings, months),
        "moved": sorted({name for run in runs for name in run.moved}),
        "control_3_deviations_alarmed": f"{sum(run.embedding_alarms > 0 for run in far)} of 10",
        "control_half_a_deviation_alarmed": f"{sum(run.embedding_alarms > 0 for run in near)} of 2",
    }
    for key in list(result)[len(about) + 2 :]:
        print(f"{key:<45} {result[key]}")
    print(f"written to {os.path.relpath(write_result('embedding-false-alarms', result))}")


if __name__ == "__main__":
    main()
