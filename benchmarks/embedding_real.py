"""How soon a change of real images is noticed: `python -m benchmarks.embedding_real DATA`.

DATA has the folders `magnetic_tile`, `neu_det` and `xsdd`, which are not part of this project. Two
changes: magnetic tiles under dark exposures and then bright ones, and hot-rolled steel of NEU-DET and
then of X-SDD. The network is the shipped bundle's, which was trained on neither: what it sees still
differs. Half of the first domain, by whole tiles, is the reference; streams are drawn from the other
half, with replacement, 2,048 parts and then the second domain. Both monitors see the same draws. The
control goes on with the first domain.
"""

import argparse
import csv
import os
import statistics
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from benchmarks.drift_line import PARTS_PER_DAY, START, telling_engine
from benchmarks.setting import setting, write_result
from edge_runtime import policy
from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.drift import DriftLevel, DriftReference
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.contracts.frame import Frame
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift.series import NOT_INSPECTED
from edge_runtime.drift.statistics import measure
from edge_runtime.drift.window import BLOCK
from edge_runtime.inspection import Inspector, gate
from optimize.builder import drift_reference, embedding_reference

QUIET, MOST = 32 * BLOCK, 160 * BLOCK
_BATCH = 8


def listed(data: Path, name: str, **wanted: str) -> list[tuple[Path, str]]:
    """Files of a set whose columns are as wanted, each with its group."""
    with (data / name / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        (data / name / row["file"], row.get("tile_group") or row["file"])
        for row in rows
        if all(row[key] == value for key, value in wanted.items())
    ]


def decided(files: Sequence[tuple[Path, str]]) -> list[tuple[Part, str]]:
    """Each file as a decided part, with its group; those that the gate refuses are left out."""
    model = open_bundle("demo").manifest.model
    parts = []
    with closing(telling_engine()) as engine:
        inspector = Inspector(engine, model)
        for start in range(0, len(files), _BATCH):
            some = files[start : start + _BATCH]
            frames = [
                Frame(part_id=file.name, captured_at=START, arrived=0.0, image=file.read_bytes())
                for file, _ in some
            ]
            judged = inspector.judge([gate(frame, model.input, measure) for frame in frames])
            for each, (_, group) in zip(judged, some, strict=True):
                if each.features is not None:
                    score = policy.defect_score(each.decision.scores, model)
                    part = Part(
                        at=START,
                        statistics=each.statistics,
                        outcome=each.decision.outcome,
                        label=each.decision.label,
                        score=score,
                        features=each.features.copy(),
                    )
                    parts.append((part, group))
    return parts


def halves(parts: Sequence[tuple[Part, str]]) -> tuple[list[tuple[Part, str]], list[Part]]:
    """The reference's half with groups, and the other half, by whole groups."""
    groups = sorted({group for _, group in parts})
    mine = set(np.random.default_rng(1).permutation(groups)[: len(groups) // 2].tolist())
    return [p for p in parts if p[1] in mine], [part for part, group in parts if group not in mine]


References = tuple[DriftReference, EmbeddingReference]


def references(reference: Sequence[tuple[Part, str]]) -> References:
    """What a build would write of these parts."""
    groups = [group for _, group in reference]
    rows = np.array([p.statistics.row() for p, _ in reference if p.statistics is not None])
    shares = {NOT_INSPECTED: np.zeros(len(groups))}
    named = drift_reference.reference("real", rows, groups, shares, line_mix=False)
    seen = embedding_reference.reference(
        "real",
        np.array([p.features for p, _ in reference]),
        [p.label or "" for p, _ in reference],
        groups,
        precision="int8",
        line_mix=False,
    )
    if seen is None:
        raise AssertionError("some hundred images make a reference")
    return named, seen


def monitors(made: References) -> dict[str, Monitor | EmbeddingMonitor]:
    """Both, fresh."""
    named, seen = made
    return {
        "image statistics": Monitor(named, parts_per_day=PARTS_PER_DAY),
        "embedding": EmbeddingMonitor(seen, parts_per_day=PARTS_PER_DAY),
    }


def delays(
    made: References,
    before: Sequence[Part],
    after: Sequence[Part],
    repeats: int,
) -> Mapping[str, object]:
    """By monitor: parts until warning and alarm, medians over repeats, and what was named first."""
    found: dict[str, dict[str, list[float]]] = {}
    first: dict[str, dict[str, int]] = {}
    early: dict[str, int] = {}
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        order = [before[i] for i in rng.integers(len(before), size=QUIET)]
        order += [after[i] for i in rng.integers(len(after), size=MOST)]
        for name, monitor in monitors(made).items():
            found.setdefault(name, {"warning": [], "alarm": []})
            at: dict[str, float] = {}
            for number, part in enumerate(order):
                monitor.observe(part)
                if number == QUIET - 1 and monitor.level is not DriftLevel.OK:
                    early[name] = early.get(name, 0) + 1
                if number >= QUIET and monitor.level is not DriftLevel.OK and "warning" not in at:
                    at["warning"] = number + 1 - QUIET
                    seen = monitor.moved()[0].statistic
                    named = first.setdefault(name, {})
                    named[seen] = named.get(seen, 0) + 1
                if number >= QUIET and monitor.level is DriftLevel.ALARM:
                    at["alarm"] = number + 1 - QUIET
                    break
            for level, taken in found[name].items():
                taken.append(at.get(level, float("inf")))
    return {
        name: {
            **{
                level: {
                    "median_parts": m if np.isfinite(m := statistics.median(taken)) else None,
                    "noticed": int(np.isfinite(taken).sum()),
                    "of": repeats,
                }
                for level, taken in levels.items()
            },
            "named_first": first.get(name, {}),
            "levels_before_the_change": early.get(name, 0),
        }
        for name, levels in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    about = setting("numpy", "onnxruntime", "opencv-python-headless")
    about["command"] = "python -m benchmarks.embedding_real DATA"
    data: Path = arguments.data
    dark, bright = (
        [f for e in exposures for f in listed(data, "magnetic_tile", exposure=e)]
        for exposures in (("1", "2", "3"), ("4", "5", "6"))
    )
    pairs = {
        "magnetic tiles, dark to bright": (decided(dark), decided(bright)),
        "NEU-DET to X-SDD": (decided(listed(data, "neu_det")), decided(listed(data, "xsdd"))),
    }
    rows: dict[str, object] = {}
    for name, (first, second) in pairs.items():
        reference, rest = halves(first)
        made = references(reference)
        apart = {group for _, group in reference}
        others = [part for part, group in second if group not in apart]
        rows[name] = {
            "reference_images": len(reference),
            "changed": delays(made, rest, others, arguments.repeats),
            "control": delays(made, rest, rest, arguments.repeats),
        }
        print(name, rows[name], flush=True)
    result = {
        **about,
        "options": {"repeats": arguments.repeats},
        "how": __doc__,
        "given_up_after_parts": MOST,
        "changes": rows,
    }
    print(f"written to {os.path.relpath(write_result('embedding-real', result))}")


if __name__ == "__main__":
    main()
