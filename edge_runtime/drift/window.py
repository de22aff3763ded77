"""The most recent parts of a station, by block: what effect sizes are taken over. O(1) memory."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import MeasureReference

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
    parts: npt.NDArray[np.int64]
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
            parts=np.zeros(BLOCKS, np.int64),
        )

    def write(self, values: Floats, standardised: Floats, shares: Floats) -> None:
        """Take in a block: values and the same standardised (seen, measures), shares (parts, shares)."""
        slot = self.blocks % BLOCKS
        self.blocks += 1
        self.sums[slot] = values.sum(axis=0)
        self.shifts[slot] = standardised.sum(axis=0)
        self.seen[slot] = len(values)
        self.outside[slot] = ((values < self.limits[0]) | (values > self.limits[1])).sum(axis=0)
        self.share_sums[slot] = shares.sum(axis=0)
        self.parts[slot] = len(shares)
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

    def share(self, index: int, blocks: int) -> float:
        """A share over the last blocks."""
        slots = self._last(blocks)
        return float(self.share_sums[slots, index].sum() / max(1, self.parts[slots].sum()))

    def affected(self, index: int, blocks: int) -> float:
        """Share of the last blocks' parts outside of the reference's middle 95 %."""
        slots = self._last(blocks)
        return float(self.outside[slots, index].sum() / max(1, self.seen[slots].sum()))

    def histogram(self, index: int, blocks: int) -> Floats:
        """Counts (bins,) of a measure over the last blocks."""
        bins = len(self.edges[index]) - 1
        return np.asarray(self.counts[self._last(blocks), index, :bins].sum(axis=0), np.float64)

    def state_bytes(self) -> int:
        """Bytes held."""
        held = [array.nbytes for array in self.edges]
        held += [
            self.limits.nbytes,
            self.sums.nbytes,
            self.shifts.nbytes,
            self.seen.nbytes,
            self.outside.nbytes,
        ]
        return sum(held) + self.counts.nbytes + self.share_sums.nbytes + self.parts.nbytes

    def _last(self, blocks: int) -> npt.NDArray[np.int64]:
        number = min(blocks, BLOCKS, self.blocks)
        return (self.blocks - 1 - np.arange(number)) % BLOCKS
