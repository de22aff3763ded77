"""The simulated line as drift sees it: measured parts to draw streams from, not pixels.

Owns pools and how blocks are drawn from them. A pool is rendered, gated, measured and judged by the
shipped bundle as the daemon does it, at stated days of the line's own time, so that the line's slow
variation (torch, heat, ageing lamps) is in it. A stream is drawn from a pool by whole modules, with
replacement: the four parts of a module are alike and stay together.
"""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from benchmarks.drift_changes import Change
from edge_runtime import policy
from edge_runtime.bundle import open_bundle
from edge_runtime.contracts.drift import DriftReference
from edge_runtime.contracts.frame import Frame
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.part import Part
from edge_runtime.drift.series import CERTAINTY, CLASS, NOT_INSPECTED, REVIEW, SCORE
from edge_runtime.drift.statistics import measure
from edge_runtime.drift.window import BLOCK
from edge_runtime.engines.base import InferenceEngine
from edge_runtime.engines.catalogue import open_engine
from edge_runtime.inspection import Inspector, Judgement, gate
from edge_runtime.quality.admission import Admitted, admit
from edge_runtime.simulation.line import SimulatedLine
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from optimize.builder.drift_reference import FEWEST, reference
from optimize.features import expose

Floats = npt.NDArray[np.float64]

MODULE_S = 16.0
"""A module of four parts every 16 s passes the station."""
PARTS_PER_DAY = 86_400 / MODULE_S * CROPS_PER_MODULE
START = datetime(2026, 3, 2, tzinfo=UTC)
_BATCH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Parts of some moments of the line, in the order rendered."""

    parts: tuple[Part, ...]
    defective: npt.NDArray[np.bool_]
    """By module: whether a defect was drawn on any of its parts."""


def simulated_line(seed: int, *, corrupt: float | None = None) -> SimulatedLine:
    """Gen-3 with its own mix of classes and its own damaged files."""
    return SimulatedLine("gen3", seed, module_interval_s=MODULE_S, corrupt=corrupt)


def telling_engine() -> InferenceEngine:
    """The shipped bundle's default variant, with its features as an output even where it was built
    before there were any."""
    bundle = open_bundle("demo")
    proto = onnx.load(bundle.model_file(bundle.variant(None)))
    with tempfile.TemporaryDirectory(prefix="drift-line-") as folder:
        onnx.save(expose(proto, feature_map=False), file := Path(folder, "model.onnx"))
        return open_engine("onnxruntime", file, bundle.manifest.model, 1)


def record(
    seed: int, days: Iterable[float], modules: int, change: Change | None = None
) -> list[Pool]:
    """A pool for each day of the line's time; `change` is done to what the gate admits."""
    model = open_bundle("demo").manifest.model
    line, rng = simulated_line(seed), np.random.default_rng(seed)
    pools = []
    with closing(telling_engine()) as engine:
        inspector = Inspector(engine, model)
        for day in days:
            first = round(day * 86_400 / MODULE_S) * CROPS_PER_MODULE
            indices = range(first, first + modules * CROPS_PER_MODULE)
            frames = []
            for index in indices:
                named, image = str(index), line.part(index).encoded
                frame = Frame(part_id=named, captured_at=START, arrived=0.0, image=image)
                if change is not None:
                    seen = admit(frame, model.input)
                    if isinstance(seen, Admitted):
                        changed = change(rng, seen.pixels)
                        frame = Frame(part_id=named, captured_at=START, arrived=0.0, image=changed)
                frames.append(gate(frame, model.input, measure))
            judged = [
                each
                for start in range(0, len(frames), _BATCH)
                for each in inspector.judge(frames[start : start + _BATCH])
            ]
            parts = tuple(part_of(each, model) for each in judged)
            bad = [line.fate(index).true_label != "no_defect" for index in indices]
            defective = np.asarray(np.array(bad).reshape(-1, CROPS_PER_MODULE).any(axis=1))
            pools.append(Pool(parts=parts, defective=defective))
    return pools


def part_of(judged: Judgement, model: ModelSpec) -> Part:
    """What the daemon tells the monitor of a part."""
    decision = judged.decision
    return Part(
        at=START,
        statistics=judged.statistics,
        outcome=decision.outcome,
        label=decision.label,
        score=policy.defect_score(decision.scores, model) if decision.scores else None,
        certain=decision.scores[decision.label] if decision.label is not None else None,
        features=judged.features,
    )


def together(pools: Sequence[Pool]) -> Pool:
    """Several pools as one."""
    return Pool(
        parts=tuple(part for pool in pools for part in pool.parts),
        defective=np.concatenate([pool.defective for pool in pools]),
    )


def reference_of(pools: Sequence[Pool]) -> DriftReference:
    """The reference that `optimize build --validation-mix line` would write of these parts."""
    parts = [part for pool in pools for part in pool.parts]
    seen = [n for n, part in enumerate(parts) if part.statistics is not None]
    labels = open_bundle("demo").manifest.model.labels
    shares: dict[str, Floats] = {
        NOT_INSPECTED: np.array([float(part.statistics is None) for part in parts]),
        REVIEW: np.array([float(parts[n].outcome.value == REVIEW) for n in seen]),
        SCORE: np.array([parts[n].score or 0.0 for n in seen]),
    }
    for label in labels:
        own = np.array([parts[n].label == label for n in seen])
        shares[f"{CLASS}{label}"] = own.astype(float)
        if own.sum() >= FEWEST:
            certain = np.array([parts[n].certain or 0.0 for n in seen])
            shares[f"{CERTAINTY}{label}"] = np.where(own, certain, np.nan)
    rows = np.array([parts[n].statistics.row() for n in seen])  # type: ignore[union-attr]
    groups = [str(n // CROPS_PER_MODULE) for n in seen]
    return reference("simulated gen3", rows, groups, shares, line_mix=True)


class Drawn:
    """A pool as arrays, and blocks of 64 parts drawn from it."""

    def __init__(self, pool: Pool, monitor: Monitor) -> None:
        _, self._shares = monitor.numbers(pool.parts)
        self._seen = np.array([part.statistics is not None for part in pool.parts])
        self._values = np.full((len(pool.parts), len(monitor.numbers(pool.parts[:0])[0].T)), 0.0)
        self._values[self._seen] = monitor.numbers(pool.parts)[0]
        self._modules = len(pool.parts) // CROPS_PER_MODULE
        self._defective = pool.defective

    def block(self, rng: np.random.Generator, *, defects: float = 1.0) -> tuple[Floats, Floats]:
        """Measures of the parts seen and shares of all; `defects` times as many defective modules."""
        return self.at(self.places(rng, defects=defects))

    def at(self, places: npt.NDArray[np.int64]) -> tuple[Floats, Floats]:
        """The same of certain parts of the pool."""
        return self._values[places][self._seen[places]], self._shares[places]

    def places(self, rng: np.random.Generator, *, defects: float = 1.0) -> npt.NDArray[np.int64]:
        """Which parts of the pool a block is drawn from, (BLOCK,)."""
        if defects != 1.0:
            share = self._defective.mean()
            weights = np.where(self._defective, defects, (1 - defects * share) / (1 - share))
            drawn = rng.choice(self._modules, BLOCK // CROPS_PER_MODULE, p=weights / weights.sum())
        else:
            drawn = rng.integers(self._modules, size=BLOCK // CROPS_PER_MODULE)
        return (drawn[:, None] * CROPS_PER_MODULE + np.arange(CROPS_PER_MODULE)).ravel()


def moment(block: int) -> datetime:
    """When a block begins, from the start of its stream."""
    return START + timedelta(seconds=block * BLOCK * MODULE_S / CROPS_PER_MODULE)
