"""The most recent parts of a station, by block: what effect sizes are taken over. O(1) memory."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import MeasureReference
from edge_runtime.drift.state import State, number, take_over

Floats = npt.NDArray[np.float64]

BLOCK = 64
"""Parts. The mean of so many is near normal, and a jump waits for no more than that."""
BLOCKS = 64


@dataclass(slots=True)
class Window:
    """Sums and counts of the last BLOCKS blocks; a ring, written block by block.

    Two means of each measure: as it is, which is reported, and standardised, which is judged.
    """

    edges: list[Floats]
    """Of each measure's bins, in its own unit."""
    limits: Floats
    """(2, measures): between them lie the middle 95 % of the reference."""
    sums: Floats
    shifts: Floats
    """Sums of the same, standardised and winsorised: what levels are judged by."""
    seen: npt.NDArray[np.int64]
    outside: npt.NDArray[np.int64]
    counts: npt.NDArray[np.uint16]
    share_sums: Floats
    share_parts: npt.NDArray[np.int64]
    """Of how many parts each share is."""
    blocks: int = 0
    """Written so far."""

    @classmethod
    def over(cls, measures: tuple[MeasureReference, ...], shares: int) -> "Window":
        """An empty window for these measures and so many shares."""
        bins = max(len(measure.shares) for measure in measures)
        return cls(
            edges=[np.array(measure.edges) for measure in measures],
            limits=np.array([[m.low for m in measures], [m.high for m in measures]]),
            sums=np.zeros((BLOCKS, len(measures))),
            shifts=np.zeros((BLOCKS, len(measures))),
            seen=np.zeros(BLOCKS, np.int64),
            outside=np.zeros((BLOCKS, len(measures)), np.int64),
            counts=np.zeros((BLOCKS, len(measures), bins), np.uint16),
            share_sums=np.zeros((BLOCKS, shares)),
            share_parts=np.zeros((BLOCKS, shares), np.int64),
        )

    def write(self, values: Floats, standardised: Floats, shares: Floats) -> None:
        """Take in a block: values and the same standardised (seen, measures), shares (parts, shares),
        NaN where a part has no say in one."""
        slot = self.blocks % BLOCKS
        self.blocks += 1
        self.sums[slot] = values.sum(axis=0)
        self.shifts[slot] = standardised.sum(axis=0)
        self.seen[slot] = len(values)
        self.outside[slot] = ((values < self.limits[0]) | (values > self.limits[1])).sum(axis=0)
        self.share_sums[slot] = np.nansum(shares, axis=0)
        self.share_parts[slot] = (~np.isnan(shares)).sum(axis=0)
        bins = self.counts.shape[2]
        for index, edges in enumerate(self.edges):
            places = np.searchsorted(edges[1:-1], values[:, index], side="right")
            self.counts[slot, index] = np.bincount(places, minlength=bins)

    def mean(self, index: int, blocks: int) -> float:
        """Mean of a measure over the last blocks, on its own scale."""
        slots = self._last(blocks)
        return float(self.sums[slots, index].sum() / max(1, self.seen[slots].sum()))

    def shift(self, index: int, blocks: int) -> float:
        """Mean of a measure over the last blocks, in standard deviations from the reference."""
        slots = self._last(blocks)
        return float(self.shifts[slots, index].sum() / max(1, self.seen[slots].sum()))

    def share(self, index: int, blocks: int) -> float | None:
        """A share over the last blocks; None where no part has a say in it."""
        slots = self._last(blocks)
        parts = int(self.share_parts[slots, index].sum())
        return float(self.share_sums[slots, index].sum() / parts) if parts else None

    def affected(self, index: int, blocks: int) -> float:
        """Share of the last blocks' parts outside of the reference's middle 95 %."""
        slots = self._last(blocks)
        return float(self.outside[slots, index].sum() / max(1, self.seen[slots].sum()))

    def histogram(self, index: int, blocks: int) -> Floats:
        """Counts (bins,) of a measure over the last blocks."""
        bins = len(self.edges[index]) - 1
        return np.asarray(self.counts[self._last(blocks), index, :bins].sum(axis=0), np.float64)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that was written, by name."""
        return {**self._written(), "blocks": np.array(self.blocks)}

    def resume(self, state: State) -> None:
        """Take over what another window over the same has; raises ValueError where it is of another."""
        self.blocks = number(state, "blocks")
        take_over(self._written(), state)

    def _written(self) -> dict[str, npt.NDArray[Any]]:
        return {
            "sums": self.sums,
            "shifts": self.shifts,
            "seen": self.seen,
            "outside": self.outside,
            "counts": self.counts,
            "share_sums": self.share_sums,
            "share_parts": self.share_parts,
        }

    def _last(self, blocks: int) -> npt.NDArray[np.int64]:
        number = min(blocks, BLOCKS, self.blocks)
        return (self.blocks - 1 - np.arange(number)) % BLOCKS
