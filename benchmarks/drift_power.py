"""After how many parts drift is noticed: `python -m benchmarks.drift_power`.

Streams of the simulated Gen-3 line (`drift_line`): 4,096 parts as in the reference, then a change that
stays. Changes are made to the pixels that the gate admits, before they are measured and judged by the
shipped bundle; the doubled defect rate draws more of the modules that have one. Two changes are made to
the measures instead: brightness or colour that moves evenly over a week, and measures that scatter more
about the same mean. Against two others in the same run, on the same streams:

- a two-sample Kolmogorov-Smirnov test (scipy) of the last 1,024 parts against the reference's own
  parts, every 64 parts (every 512 while its threshold is set), for each measure and score;
- ADWIN (river), which knows no reference, on the block means of the same and of each share.

Each contender's threshold is the most sensitive of a grid at which it raised no more than one false
alarm in 30 days on drift-free streams with the slow variation of the line; ours is as shipped. Where no
threshold of the grid is quiet enough, the contender runs at the least sensitive one and the row says so.
"""

import argparse
import os
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from river.drift import ADWIN
from scipy.stats import ks_2samp

from benchmarks.alarm_rate import KS_BLOCKS, KS_GRID, MOST, QUIET, episodes, tuned
from benchmarks.drift_changes import CHANGES
from benchmarks.drift_false_alarms import REFERENCE_DAYS, RUN_DAYS, around
from benchmarks.drift_line import (
    PARTS_PER_DAY,
    Drawn,
    Floats,
    Pool,
    moment,
    record,
    reference_of,
    together,
)
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.drift import DriftLevel, DriftReference
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.series import SCORE, watched
from edge_runtime.drift.window import BLOCK

SLOW_DEVIATIONS, WEEK = 1.5, round(7 * PARTS_PER_DAY / BLOCK)
"""A measure's mean moves by so much, evenly over a week of blocks."""
SCATTER = 1.5
"""Times the deviation of every measure, its mean staying where it was."""
ADWIN_GRID = 10.0 ** -np.arange(2, 41, 2)


Block = tuple[Floats, Floats]
Altering = Callable[[Block, int], Block]
"""What becomes of a block so many blocks after a change began."""
Detector = Callable[[Sequence[Block]], int | None]
"""Blocks in, the first block at which it alarms out; None where it never does."""


def ours(reference: DriftReference, level: DriftLevel) -> Detector:
    """The monitor as shipped, at warning or alarm."""

    def run(blocks: Sequence[Block]) -> int | None:
        monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
        for number, (values, shares) in enumerate(blocks):
            monitor.take_block(moment(number), values, shares)
            if monitor.level in (level, DriftLevel.ALARM):
                return number
        return None

    return run


def ks(sample: Floats, score: int, blocks: Sequence[Block], number: int) -> float:
    """The lowest p-value over measures and score, of the blocks up to one against the reference."""
    recent = blocks[number - KS_BLOCKS + 1 : number + 1]
    values = np.concatenate([values for values, _ in recent])
    scores = np.concatenate([shares[:, score] for _, shares in recent])
    return min(
        float(ks_2samp(column, before, method="asymp").pvalue)
        for column, before in zip([*values.T, scores], sample.T, strict=True)
    )


def adwin(delta: float, blocks: Sequence[Block]) -> list[int]:
    """Blocks at which ADWIN sees a change in any series of standardised block means."""
    means = np.array([[*values.mean(axis=0), *shares.mean(axis=0)] for values, shares in blocks])
    # ADWIN's bound is for values between 0 and 1.
    low, high = means[:QUIET].min(axis=0), means[:QUIET].max(axis=0)
    scaled = np.clip((means - low) / np.where(high > low, high - low, 1.0) / 2 + 0.25, 0, 1)
    found = []
    detectors = [ADWIN(delta=delta, clock=1) for _ in scaled.T]
    for number, row in enumerate(scaled):
        changed = False
        for detector, value in zip(detectors, row, strict=True):
            detector.update(float(value))
            changed |= detector.drift_detected
        if changed:
            found.append(number)
    return found


def slow(reference: DriftReference, measure: str, sign: float) -> Altering:
    """What becomes of a block so many blocks after the change began, as a mean moves over a week."""
    names: list[str] = [entry.name for entry in reference.measures]
    column = names.index(measure)
    size = sign * SLOW_DEVIATIONS * reference.measures[column].deviation

    def change(block: Block, number: int) -> Block:
        values, shares = block
        offset = np.zeros(values.shape[1])
        offset[column] = size * min(1.0, number / WEEK)
        return values + offset, shares

    return change


def scattered(reference: DriftReference) -> Altering:
    """The same for measures that scatter more."""
    means = np.array([measure.mean for measure in reference.measures])
    return lambda block, _number: (means + SCATTER * (block[0] - means), block[1])


def _as_it_is(block: Block, _number: int) -> Block:
    return block


def quiet_streams(
    reference: DriftReference, pools: Sequence[Pool], count: int, rng: np.random.Generator
) -> list[list[Block]]:
    """Drift-free streams of 30 days."""
    monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
    drawn = [Drawn(together(around(pools, number)), monitor) for number in range(len(pools))]
    per_pool = round(RUN_DAYS * PARTS_PER_DAY / BLOCK / len(pools))
    return [[each.block(rng) for each in drawn for _ in range(per_pool)] for _ in range(count)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument(
        "--modules", type=int, default=13, help="recorded for each change on each of 13 days"
    )
    parser.add_argument("--streams", type=int, default=2, help="of 30 days, to set contenders by")
    arguments = parser.parse_args()
    about = setting("numpy", "scipy", "river", "onnxruntime")
    rng = np.random.default_rng(11)
    before = record(505, np.arange(0, REFERENCE_DAYS, 0.5), 10)
    reference = reference_of(before)
    during = np.arange(REFERENCE_DAYS, REFERENCE_DAYS + RUN_DAYS, 0.5)
    streams = quiet_streams(reference, record(707, during, 20), arguments.streams, rng)
    monitor = Monitor(reference, parts_per_day=PARTS_PER_DAY)
    score = [share.name for share in watched(reference)].index(SCORE)
    seen = [p for pool in before for p in pool.parts if p.statistics is not None]
    values, shares = monitor.numbers(seen)
    sample = np.column_stack((values, shares[:, score]))
    lowest = [
        np.array(
            [
                ks(sample, score, stream, n) if n >= KS_BLOCKS and n % 8 == 0 else 1.0
                for n in range(len(stream))
            ]
        )
        for stream in streams
    ]
    contenders = {
        "ks": tuned(
            "KS",
            KS_GRID,
            lambda t: float(np.mean([episodes(np.flatnonzero(p < t).tolist()) for p in lowest])),
        ),
        "adwin": tuned(
            "ADWIN",
            ADWIN_GRID,
            lambda t: float(np.mean([episodes(adwin(t, stream)) for stream in streams])),
        ),
    }
    thresholds = {name: float(row["threshold"]) for name, row in contenders.items()}  # type: ignore[arg-type]

    def by_ks(blocks: Sequence[Block]) -> int | None:
        looks = range(KS_BLOCKS - 1, len(blocks))
        return next((n for n in looks if ks(sample, score, blocks, n) < thresholds["ks"]), None)

    def by_adwin(blocks: Sequence[Block]) -> int | None:
        return next((n for n in adwin(thresholds["adwin"], blocks) if n >= QUIET), None)

    detectors: dict[str, Detector] = {
        "warning": ours(reference, DriftLevel.WARNING),
        "alarm": ours(reference, DriftLevel.ALARM),
        "ks": by_ks,
        "adwin": by_adwin,
    }
    # From all over the reference's days, so that nothing but the change changes.
    days = np.arange(0, REFERENCE_DAYS, 3)
    plain = Drawn(together(record(808, days, arguments.modules)), monitor)
    rows: dict[str, object] = {}
    on_measures: dict[str, Altering] = {
        "brightness -1.5 deviations in a week": slow(reference, "brightness", -1),
        "colour +1.5 deviations in a week": slow(reference, "colour", 1),
        "scatter x1.5": scattered(reference),
    }
    unchanged = [(name, None) for name in ("nothing (control)", "defect rate x2", *on_measures)]
    for name, change in [*unchanged, *CHANGES.items()]:
        changed = plain
        altered = on_measures.get(name, _as_it_is)
        most = WEEK if name.endswith("in a week") else MOST
        if change is not None:
            changed = Drawn(together(record(808, days, arguments.modules, change)), monitor)
        delays: dict[str, list[int | None]] = {key: [] for key in detectors}
        early = dict.fromkeys(detectors, 0)
        for _ in range(arguments.repeats):
            defects = 2.0 if name.startswith("defect") else 1.0
            stream = [plain.block(rng) for _ in range(QUIET)]
            stream += [
                altered(changed.block(rng, defects=defects), number) for number in range(most)
            ]
            for key, detector in detectors.items():
                hit = detector(stream)
                if hit is not None and hit < QUIET:
                    early[key] += 1
                    continue
                delays[key].append(None if hit is None else (hit - QUIET + 1) * BLOCK)
        rows[name] = {
            key: {
                "median_parts": statistics.median(
                    delay if delay is not None else float("inf") for delay in found
                )
                if any(delay is not None for delay in found)
                and sum(delay is not None for delay in found) > len(found) / 2
                else None,
                "noticed": sum(delay is not None for delay in found),
                "of": len(found),
                "alarmed_before": early[key],
            }
            for key, found in delays.items()
        }
        print(
            f"{name:<24}",
            *(
                f"{key} {row['median_parts']} ({row['noticed']}/{row['of']})"
                for key, row in rows[name].items()  # type: ignore[attr-defined]
            ),
            flush=True,
        )
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "simulated": __doc__,
        "given_up_after_parts": MOST * BLOCK,
        "contenders": contenders,
        "changes": rows,
    }
    print(f"written to {os.path.relpath(write_result('drift-power', result))}")


if __name__ == "__main__":
    main()
