"""How often drift alarms where there is none: `python -m benchmarks.drift_false_alarms`.

200 stations run for 30 days at a module of four parts every 16 s. Not the pixels are simulated but what
both monitors are given, that of statistics and that of features: measures, answers and features of the
simulated Gen-3 line, recorded every half day of those 30 days through the shipped bundle, and drawn by
whole modules with replacement from the seven recordings around each half day (`drift_line`). The line's
slow variation is in the record: torch and heat wander, lamps age. The reference is recorded of other
modules in the 37 days before, as validation images would be. All stations follow the same slow course;
chance differs. A station alarms when either of its monitors does.

Beside it: each sequential test by itself at the very edge of what it tolerates, where its rate is at its
highest, against the rate that it is set to. Controls: a station whose light changes much must alarm, one
whose light changes a little must not; the same of one whose features' centre goes off.
"""

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import chi2

from benchmarks.drift_line import PARTS_PER_DAY, Pool, moment, record, reference_of, together
from benchmarks.embedding_line import DrawnPlaces, Rows, embedding_of
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.drift import DriftLevel, DriftReference
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.levels import highest
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.sequential import (
    DAYS_BETWEEN_FALSE_DETECTIONS,
    Evidence,
    mean_steps,
    share_steps,
)
from edge_runtime.drift.window import BLOCK

REFERENCE_DAYS, RUN_DAYS = 37.0, 30.0
PER_DAY = 2
AROUND = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What all stations share."""

    statistics: DriftReference
    embedding: EmbeddingReference
    pools: Sequence[Pool]
    """One for each half day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What a control is given from day 1 on, in deviations."""

    brightness: float = 0.0
    centre: float = 0.0
    """Of the features, along the first axis of their PCA."""


NO_SHIFT = Shift()


class Course:
    """How often a monitor, or a station, went from one level to another."""

    def __init__(self) -> None:
        self._before = DriftLevel.OK
        self.alarms = 0
        """Times that it went to alarm."""
        self.warnings = 0
        """Times that it went from ok to warning."""

    def note(self, level: DriftLevel) -> bool:
        """Where it stands now; whether it has just gone to alarm."""
        alarms = level is DriftLevel.ALARM is not self._before
        self.alarms += alarms
        self.warnings += self._before is DriftLevel.OK and level is DriftLevel.WARNING
        self._before = level
        return alarms


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of one station."""

    station: Course
    statistics: Course
    embedding: Course
    moved: tuple[str, ...]
    """What had moved when it alarmed."""


_SHARED: dict[str, Line] = {}


def station(job: tuple[int, Shift]) -> Run:
    """One station of 30 days; a control ends with its first alarm."""
    seed, shift = job
    line = _SHARED["line"]
    statistics = Monitor(line.statistics, parts_per_day=PARTS_PER_DAY)
    embedding = EmbeddingMonitor(line.embedding, parts_per_day=PARTS_PER_DAY)
    halves = [
        DrawnPlaces(together(around(line.pools, number)), statistics, embedding)
        for number in range(len(line.pools))
    ]
    rng, rows = np.random.default_rng([20261125, seed]), Rows(embedding)
    per_half = round(PARTS_PER_DAY / BLOCK / PER_DAY)
    offset = np.zeros(len(line.statistics.measures))
    offset[0] = shift.brightness * line.statistics.measures[0].deviation
    run = Run(station=Course(), statistics=Course(), embedding=Course(), moved=())
    moved: list[str] = []
    for number in range(per_half * len(line.pools)):
        block = halves[number // per_half].block(rng)
        shifted = shift != NO_SHIFT and number >= per_half * PER_DAY
        if shifted:
            block.rows[:, 0] += shift.centre
        statistics.take_block(moment(number), block.values + offset * shifted, block.shares)
        rows.add(number, block.rows)
        run.statistics.note(statistics.level)
        run.embedding.note(embedding.level)
        if run.station.note(highest((statistics.level, embedding.level))):
            moved += [each.statistic for each in (*statistics.moved(), *embedding.moved())]
            if shifted:
                break
    return replace(run, moved=tuple(moved))


def around(pools: Sequence[Pool], number: int) -> Sequence[Pool]:
    """The recordings about one, since a single one is too few parts to stand for a half day."""
    return pools[max(0, number - AROUND) : number + AROUND + 1]


def interval(found: int, exposure: float) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson rate of `found` events in `exposure`."""
    low = chi2.ppf(0.025, 2 * found) / 2 if found else 0.0
    return float(low / exposure), float(chi2.ppf(0.975, 2 * found + 2) / 2 / exposure)


def rates(courses: Sequence[Course], months: float) -> dict[str, object]:
    """How often there was an alarm and a warning per station and 30 days, with the interval."""
    found: dict[str, object] = {}
    for name in ("alarms", "warnings"):
        times = sum(getattr(course, name) for course in courses)
        found[name] = times
        found[f"{name}_per_station_and_30_days"] = times / months
        found[f"{name}_interval_95"] = interval(times, months)
    return found


def at_the_edge(every: float, blocks: int, count: int) -> dict[str, object]:
    """Detections of single tests, rises only, with the mean at the edge of the tolerated band."""
    rng, one = np.random.default_rng(7), np.ones(count)
    deviation = BLOCK**-0.5
    rows: dict[str, object] = {}
    for name, share in (
        ("mean of a measure", None),
        ("share of 1 %", 0.01),
        ("share of 8 %", 0.08),
    ):
        evidence, found = Evidence(count, float(np.log(every))), 0
        for _ in range(blocks):
            if share is None:
                means = 0.25 + rng.normal(0, deviation, count)
                steps = mean_steps(means, deviation**2 * one, 0.25 * one, 0.5 * one)
            else:
                seen = rng.binomial(BLOCK, share, count)
                values = np.arange(BLOCK)[:, None] < seen
                tolerated = np.stack((share * one, 0 * one))
                steps = share_steps(values.astype(float), tolerated, 2 * tolerated)
            evidence.add(steps)
            crossed = np.flatnonzero(evidence.detected()[0])
            found += len(crossed)
            for index in crossed:
                evidence.forget(int(index))
        low, high = interval(found, blocks * count)
        rows[name] = {
            "detections": found,
            "blocks": blocks * count,
            "per_block": found / (blocks * count),
            "interval_95": [low, high],
            "at_most_by_theory": 1 / every,
            "held": low <= 1 / every,
        }
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--modules", type=int, default=40, help="recorded per half day")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    about = setting("numpy", "scipy", "onnxruntime")
    halves = np.arange(0, REFERENCE_DAYS + RUN_DAYS, 1 / PER_DAY)
    before, during = np.split(halves, [round(REFERENCE_DAYS * PER_DAY)])
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:
        recorded = workers.starmap(
            record, [(606, [day], arguments.modules) for day in during], len(during) // 4
        )
        known = workers.apply(record, (505, before, 10))
    _SHARED["line"] = Line(
        statistics=reference_of(known),
        embedding=embedding_of(known),
        pools=[pool for half in recorded for pool in half],
    )
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:

        def all_of(count: int, shift: Shift = NO_SHIFT) -> list[Run]:
            return workers.map(station, [(seed, shift) for seed in range(count)], 1)

        runs = all_of(arguments.runs)
        controls = {
            "brightness 1.5 deviations off": all_of(20, Shift(brightness=1.5)),
            "brightness 0.2 deviations off": all_of(4, Shift(brightness=0.2)),
            "centre of features 3 deviations off": all_of(10, Shift(centre=3.0)),
            "centre of features 0.5 deviations off": all_of(2, Shift(centre=0.5)),
        }
    months = arguments.runs * RUN_DAYS / 30
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "simulated": __doc__,
        "parts_per_day": PARTS_PER_DAY,
        "parts": int(PARTS_PER_DAY * RUN_DAYS * arguments.runs),
        "reference_images": _SHARED["line"].statistics.images,
        "days_between_false_detections": DAYS_BETWEEN_FALSE_DETECTIONS,
        "station": rates([run.station for run in runs], months),
        "monitor_of_statistics": rates([run.statistics for run in runs], months),
        "monitor_of_features": rates([run.embedding for run in runs], months),
        "stations_with_an_alarm": sum(run.station.alarms > 0 for run in runs),
        "moved_at_alarms": sorted({name for run in runs for name in run.moved}),
        "controls_alarmed": {
            name: f"{sum(run.station.alarms > 0 for run in these)} of {len(these)}"
            for name, these in controls.items()
        },
        "single_tests_at_the_edge": at_the_edge(1000.0, 2000, 2000),
    }
    for key in list(result)[len(about) + 2 :]:
        print(f"{key:<32} {result[key]}")
    print(f"written to {os.path.relpath(write_result('drift-false-alarms', result))}")


if __name__ == "__main__":
    main()
