"""The simulated line as the embedding sees it: places of parts, beside the measures of `drift_line`.

Owns the reference that a build would write of recorded parts, and streams of blocks for both monitors
that are drawn alike: what one of them misses on a stream, the other was shown too.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from benchmarks.drift_line import Drawn, Floats, Pool, moment
from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.drift.embedding_monitor import EmbeddingMonitor, row
from edge_runtime.drift.monitor import Monitor
from edge_runtime.drift.window import BLOCK
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from optimize.builder.embedding_reference import reference


def embedding_of(pools: Sequence[Pool]) -> EmbeddingReference:
    """The reference that `optimize build --validation-mix line` would write of these parts."""
    parts = [part for pool in pools for part in pool.parts]
    seen = [n for n, part in enumerate(parts) if part.features is not None]
    made = reference(
        "simulated gen3",
        np.array([parts[n].features for n in seen]),
        [parts[n].label or "" for n in seen],
        [str(n // CROPS_PER_MODULE) for n in seen],
        precision="int8",
        line_mix=True,
    )
    if made is None:
        raise AssertionError("some thousand parts make a reference")
    return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """What 64 parts of the line say to each monitor."""

    values: Floats
    shares: Floats
    rows: Floats
    """(parts placed, axes + 4)."""


class DrawnPlaces:
    """A pool as arrays for both monitors, and blocks drawn from it."""

    def __init__(self, pool: Pool, monitor: Monitor, embedding: EmbeddingMonitor) -> None:
        self._drawn = Drawn(pool, monitor)
        width = embedding.embedding.axes + 4
        self._rows = np.full((len(pool.parts), width), np.nan)
        for index, part in enumerate(pool.parts):
            if part.features is not None:
                place = embedding.embedding.place(part.features, part.label)
                if place is not None:
                    self._rows[index] = row(place)

    def block(self, rng: np.random.Generator, *, defects: float = 1.0) -> Block:
        """One block, drawn by whole modules."""
        return self.at(self._drawn.places(rng, defects=defects))

    def at(self, places: npt.NDArray[np.int64]) -> Block:
        """The block of certain parts."""
        rows = self._rows[places]
        values, shares = self._drawn.at(places)
        return Block(values=values, shares=shares, rows=rows[~np.isnan(rows[:, 0])])


class Rows:
    """Rows of parts as they come, handed on in blocks of BLOCK."""

    def __init__(self, monitor: EmbeddingMonitor) -> None:
        self._monitor = monitor
        self._waiting: list[Floats] = []

    def add(self, number: int, rows: Floats) -> None:
        """Take in the rows of the parts of block `number`."""
        self._waiting.extend(rows)
        if len(self._waiting) >= BLOCK:
            self._monitor.take_block(moment(number), np.stack(self._waiting[:BLOCK]))
            del self._waiting[:BLOCK]


def watch(
    monitor: Monitor | EmbeddingMonitor, blocks: Sequence[Block], level: DriftLevel
) -> int | None:
    """The first block after which a monitor stands at a level or above; None where it never does."""
    rows = Rows(monitor) if isinstance(monitor, EmbeddingMonitor) else None
    for number, block in enumerate(blocks):
        if rows is not None:
            rows.add(number, block.rows)
        elif isinstance(monitor, Monitor):
            monitor.take_block(moment(number), block.values, block.shares)
        if monitor.level in (level, DriftLevel.ALARM):
            return number
    return None
