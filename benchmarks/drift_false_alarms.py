"""How often drift alarms where there is none: `python -m benchmarks.drift_false_alarms`.

200 stations run for 30 days at a module of four parts every 16 s. Not the pixels are simulated but what
the monitor is given: measures and answers of the simulated Gen-3 line, recorded every half day of those
30 days through the shipped bundle, and drawn by whole modules with replacement from the seven
recordings around each half day (`drift_line`). The line's slow variation is in the record: torch and
heat wander, lamps age. The reference is recorded of other modules in the 37 days before, as validation
images would be. All stations follow the same slow course; chance differs.

Beside it: each sequential test by itself at the very edge of what it tolerates, where its rate is at its
highest, against the rate that it is set to. Two controls: a station whose light changes much must alarm,
one whose light changes a little must not.
"""

import argparse
import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from benchmarks.drift_line import PARTS_PER_DAY, Drawn, Pool, moment, record, reference_of, together
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.drift import DriftLevel, DriftReference
from edge_runtime.drift.monitor import DAYS_BETWEEN_FALSE_DETECTIONS, Monitor
from edge_runtime.drift.sequential import Evidence, mean_steps, share_steps
from edge_runtime.drift.window import BLOCK

REFERENCE_DAYS, RUN_DAYS = 37.0, 30.0
PER_DAY = 2
AROUND = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What became of one station."""

    alarms: int
    """Times that it went to alarm."""
    warnings: int
    """Times that it went from ok to warning."""
    moved: tuple[str, ...]
    """What had moved when it alarmed."""
    first_alarm_parts: int | None


_SHARED: dict[str, tuple[DriftReference, Sequence[Pool]]] = {}


def station(job: tuple[int, float]) -> Run:
    """One station of 30 days; `shift` standard deviations of brightness are added from day 1 on."""
    seed, shift = job
    reference, pools = _SHARED["line"]
    monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
    drawn = [Drawn(together(around(pools, number)), monitor) for number in range(len(pools))]
    rng = np.random.default_rng([20261125, seed])
    per_pool = round(PARTS_PER_DAY / BLOCK / PER_DAY)
    offset = np.zeros(len(reference.measures))
    offset[0] = shift * reference.measures[0].deviation
    before, alarms, warnings, moved, first = DriftLevel.OK, 0, 0, [], None
    for block in range(per_pool * len(pools)):
        values, shares = drawn[block // per_pool].block(rng)
        if shift and block >= per_pool * PER_DAY:
            values = values + offset
        monitor.take_block(moment(block), values, shares)
        level = monitor.level
        if level is not before:
            alarms += level is DriftLevel.ALARM
            warnings += before is DriftLevel.OK and level is DriftLevel.WARNING
            if level is DriftLevel.ALARM:
                moved += [each.statistic for each in monitor.moved()]
                first = first or (block + 1) * BLOCK
            before = level
        if shift and alarms:
            break
    return Run(alarms=alarms, warnings=warnings, moved=tuple(moved), first_alarm_parts=first)


def around(pools: Sequence[Pool], number: int) -> Sequence[Pool]:
    """The recordings about one, since a single one is too few parts to stand for a half day."""
    return pools[max(0, number - AROUND) : number + AROUND + 1]


def interval(found: int, exposure: float) -> tuple[float, float]:
    """Exact 95 % interval of a Poisson rate of `found` events in `exposure`."""
    low = chi2.ppf(0.025, 2 * found) / 2 if found else 0.0
    return float(low / exposure), float(chi2.ppf(0.975, 2 * found + 2) / 2 / exposure)


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
    before = np.arange(0, REFERENCE_DAYS, 1 / PER_DAY)
    during = np.arange(REFERENCE_DAYS, REFERENCE_DAYS + RUN_DAYS, 1 / PER_DAY)
    reference = reference_of(record(505, before, 10))
    _SHARED["line"] = reference, record(606, during, arguments.modules)
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:
        runs = workers.map(station, [(seed, 0.0) for seed in range(arguments.runs)], 1)
        controls = workers.map(station, [(seed, 1.5) for seed in range(20)], 1)
        tiny = workers.map(station, [(seed, 0.2) for seed in range(4)], 1)
    months = arguments.runs * RUN_DAYS / 30
    alarms, warnings = sum(run.alarms for run in runs), sum(run.warnings for run in runs)
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "simulated": __doc__,
        "parts_per_day": PARTS_PER_DAY,
        "parts": int(PARTS_PER_DAY * RUN_DAYS * arguments.runs),
        "reference_images": reference.images,
        "days_between_false_detections": DAYS_BETWEEN_FALSE_DETECTIONS,
        "false_alarms": alarms,
        "false_alarms_per_station_and_30_days": alarms / months,
        "interval_95": interval(alarms, months),
        "runs_with_an_alarm": sum(run.alarms > 0 for run in runs),
        "warnings_per_station_and_30_days": warnings / months,
        "warnings_interval_95": interval(warnings, months),
        "moved_at_alarms": sorted({name for run in runs for name in run.moved}),
        "control_brightness_1.5_deviations_alarmed": f"{sum(r.alarms > 0 for r in controls)} of 20",
        "control_brightness_0.2_deviations_alarmed": f"{sum(r.alarms > 0 for r in tiny)} of 4",
        "single_tests_at_the_edge": at_the_edge(1000.0, 2000, 2000),
    }
    for key in list(result)[len(about) + 2 :]:
        print(f"{key:<45} {result[key]}")
    print(f"written to {os.path.relpath(write_result('drift-false-alarms', result))}")


if __name__ == "__main__":
    main()
