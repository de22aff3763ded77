"""After how many parts is noticed what image statistics miss: `python -m benchmarks.embedding_power`.

Streams of the simulated Gen-3 line as in `drift_power`: 4,096 parts as in the reference, then a change
that stays (`embedding_changes`). The same draws are shown to three monitors:

- the monitor of image statistics as shipped (`drift.monitor`), without shares of classes and scores;
- the embedding monitor as shipped (`drift.embedding_monitor`);
- univariate Kolmogorov-Smirnov tests (scipy) with Bonferroni's correction over the axes of the same PCA,
  of the last 1,024 parts against the reference's own, every 256 parts: the detector that S. Rabanser et
  al., "Failing Loudly" (2019), found best. Its threshold is the most sensitive of a grid at which it
  raised no more than one false alarm in 30 days on drift-free streams with the line's slow variation.

False alarms of both monitors together are counted by `drift_false_alarms`.
"""

import argparse
import multiprocessing
import os
import statistics
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import kstwo

from benchmarks.alarm_rate import KS_BLOCKS, MOST, QUIET, episodes, tuned
from benchmarks.drift_false_alarms import REFERENCE_DAYS, RUN_DAYS, around
from benchmarks.drift_line import (
    PARTS_PER_DAY,
    Floats,
    Pool,
    record,
    reference_of,
    together,
)
from benchmarks.embedding_changes import CHANGES
from benchmarks.embedding_line import Block, DrawnPlaces, embedding_of, watch
from benchmarks.setting import setting, write_result
from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor, row
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.statistics import MEASURES
from edge_runtime.drift.window import BLOCK

KS_GRID = 10.0 ** -np.arange(3, 300, 9)
_EVERY = 4
"""Blocks between two looks of the contender; twice as many while its threshold is set."""
Detector = Callable[[Sequence[Block]], int | None]


def ks(sample: Floats, blocks: Sequence[Block], number: int) -> float:
    """The lowest p-value over the axes, of the blocks up to one against the sorted reference.

    As `scipy.stats.ks_2samp` takes it asymptotically, for all axes at once.
    """
    recent = np.concatenate([b.rows for b in blocks[number - KS_BLOCKS + 1 : number + 1]])
    recent = np.sort(recent[:, : sample.shape[1]], axis=0)
    here, there = len(recent), len(sample)
    widest = 0.0
    for column, before in zip(recent.T, sample.T, strict=True):
        both = np.concatenate((column, before))
        apart = (
            np.searchsorted(column, both, side="right") / here
            - np.searchsorted(before, both, side="right") / there
        )
        widest = max(widest, float(np.abs(apart).max()))
    return float(kstwo.sf(widest, round(here * there / (here + there))))


def shifts(changed: Pool, plain: Pool) -> dict[str, float]:
    """How far a change moves each image statistic, in standard deviations of the unchanged parts."""
    before, after = (
        np.array([p.statistics.row() for p in pool.parts if p.statistics is not None])
        for pool in (plain, changed)
    )
    moved = (after.mean(axis=0) - before.mean(axis=0)) / before.std(axis=0)
    return {name: round(float(value), 2) for name, value in zip(MEASURES, moved, strict=True)}


def delays(detector: Detector, streams: Sequence[Sequence[Block]]) -> dict[str, float | int | None]:
    """Median delay in parts, and how often it was noticed at all; a stream alarmed on before is out."""
    found, early = [], 0
    for stream in streams:
        hit = detector(stream)
        if hit is not None and hit < QUIET:
            early += 1
        else:
            found.append(float("inf") if hit is None else (hit - QUIET + 1) * BLOCK)
    noticed = sum(np.isfinite(found))
    median = statistics.median(found) if found else float("inf")
    return {
        "median_parts": median if np.isfinite(median) else None,
        "noticed": int(noticed),
        "of": len(found),
        "alarmed_before": early,
    }


def _record_changed(days: Floats, modules: int, name: str | None) -> Pool:
    return together(record(808, days, modules, None if name is None else CHANGES[name]))


_SHARED: dict[str, Callable[[str], dict[str, object]]] = {}


def _noticed(name: str) -> dict[str, object]:
    return _SHARED["noticed"](name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--modules", type=int, default=13, help="recorded on each of 13 days")
    parser.add_argument("--quiet-modules", type=int, default=20, help="recorded each half day")
    parser.add_argument("--streams", type=int, default=2, help="of 30 days without drift")
    parser.add_argument("--processes", type=int, default=4)
    arguments = parser.parse_args()
    about = setting("numpy", "scipy", "onnxruntime")
    rng = np.random.default_rng(12)
    days = np.arange(0, REFERENCE_DAYS, 3)
    during = np.arange(REFERENCE_DAYS, REFERENCE_DAYS + RUN_DAYS, 0.5)
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:
        recordings = workers.starmap_async(
            _record_changed, [(days, arguments.modules, name) for name in (None, *CHANGES)], 1
        )
        quiet = workers.apply_async(record, (707, during, arguments.quiet_modules))
        before = workers.apply(record, (505, np.arange(0, REFERENCE_DAYS, 0.5), 10))
        pools, (unchanged, *changes) = quiet.get(), recordings.get()
    # Shares of classes have a chance of their own in recordings of some hundred parts.
    named = reference_of(before).model_copy(update={"line_mix": False})
    seen = embedding_of(before)

    def statistics_monitor() -> Monitor:
        return Monitor(named, parts_per_day=PARTS_PER_DAY)

    def embedding_monitor() -> EmbeddingMonitor:
        return EmbeddingMonitor(seen, parts_per_day=PARTS_PER_DAY)

    def drawn(pool: Pool) -> DrawnPlaces:
        return DrawnPlaces(pool, statistics_monitor(), embedding_monitor())

    space = embedding_monitor().embedding
    places = [
        space.place(part.features, part.label)
        for pool in before
        for part in pool.parts
        if part.features is not None
    ]
    known = [row(place)[: space.axes] for place in places if place is not None]
    sample = np.sort(np.array(known), axis=0)
    per_pool = round(RUN_DAYS * PARTS_PER_DAY / BLOCK / len(pools))
    halves = [drawn(together(around(pools, number))) for number in range(len(pools))]
    lowest = []
    for _ in range(arguments.streams):
        stream = [half.block(rng) for half in halves for _ in range(per_pool)]
        looks = range(KS_BLOCKS - 1, len(stream), 2 * _EVERY)
        lowest.append({n: ks(sample, stream, n) for n in looks})
    contender = tuned(
        "KS on PCA",
        KS_GRID,
        lambda t: float(
            np.mean([episodes([n for n, p in run.items() if p < t]) for run in lowest])
        ),
    )
    limit = float(contender["threshold"])  # type: ignore[arg-type]

    def by_ks(blocks: Sequence[Block]) -> int | None:
        looks = range(KS_BLOCKS - 1, len(blocks), _EVERY)
        return next((n for n in looks if ks(sample, blocks, n) < limit), None)

    detectors: dict[str, Detector] = {
        "statistics_warning": lambda s: watch(statistics_monitor(), s, DriftLevel.WARNING),
        "statistics_alarm": lambda s: watch(statistics_monitor(), s, DriftLevel.ALARM),
        "embedding_warning": lambda s: watch(embedding_monitor(), s, DriftLevel.WARNING),
        "embedding_alarm": lambda s: watch(embedding_monitor(), s, DriftLevel.ALARM),
        "ks_on_pca": by_ks,
    }
    plain = drawn(unchanged)

    def noticed(name: str, pool: Pool) -> dict[str, object]:
        changed, own = drawn(pool), np.random.default_rng([12, len(name)])
        streams = [
            [plain.block(own) for _ in range(QUIET)] + [changed.block(own) for _ in range(MOST)]
            for _ in range(arguments.repeats)
        ]
        found = {key: delays(detector, streams) for key, detector in detectors.items()}
        medians = (f"{key} {row['median_parts']}" for key, row in found.items())
        print(f"{name:<44}", *medians, flush=True)
        return {"image_statistics_moved_by": shifts(pool, unchanged), **found}

    named_pools = dict(zip(("nothing (control)", *CHANGES), (unchanged, *changes), strict=True))
    # Forked workers find what is made here where it is.
    _SHARED["noticed"] = lambda name: noticed(name, named_pools[name])
    with multiprocessing.get_context("fork").Pool(arguments.processes) as workers:
        rows = dict(zip(named_pools, workers.map(_noticed, named_pools, 1), strict=True))
    result: dict[str, object] = {
        **about,
        "options": vars(arguments),
        "simulated": __doc__,
        "given_up_after_parts": MOST * BLOCK,
        "contender": contender,
        "reference_bytes": len(seen.to_json()),
        "changes": rows,
    }
    print(f"written to {os.path.relpath(write_result('embedding-power', result))}")


if __name__ == "__main__":
    main()
