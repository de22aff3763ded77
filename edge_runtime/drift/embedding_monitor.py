"""Whether what the network sees has moved: parts with their features in, what has moved out.

Beside `monitor.Monitor`, which watches what an engineer can name, and in the same frame: a statistic
has moved when a sequential test detected it and its effect has the size. Four are watched:

- the centre: how far the mean of parts has gone from training's, in whatever direction;
- the distance: whether parts scatter wider around their class than training images;
- the residual: whether more of them lies in directions that training images do not have;
- the unfamiliar: the share of parts that lie further out than nearly all training images.

Knows no clock, no thread and no topic. Memory does not grow; a part costs one product with the axes, and
the rest is done once per block.
"""

import math
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import DriftLevel, Moved
from edge_runtime.contracts.embedding import EmbeddingReference
from edge_runtime.drift import effects, words
from edge_runtime.drift.embedding import Embedding, Floats, Place
from edge_runtime.drift.levels import MEASURE_SIZES, Sizes, Standing, highest, widened
from edge_runtime.drift.part import Part
from edge_runtime.drift.sequential import Evidence, Scatter, mean_steps, needed, share_steps
from edge_runtime.drift.spread import Spread
from edge_runtime.drift.standings import gravest_first, judge_block
from edge_runtime.drift.state import State, named, number, portion, take_over
from edge_runtime.drift.window import BLOCK, BLOCKS

CENTRE, DISTANCE, RESIDUAL, UNFAMILIAR = (
    "features:centre",
    "features:distance",
    "features:residual",
    "features:unfamiliar",
)
STATISTICS = (CENTRE, DISTANCE, RESIDUAL, UNFAMILIAR)
CENTRE_SIZES = Sizes(tolerated=1.0, warning=1.5, alarm=2.5, least_blocks=2)
"""Over thirty axes a line that wanders by a fifth of a deviation along each is one deviation away."""
UNFAMILIAR_SIZES = Sizes(tolerated=0.12, warning=0.24, alarm=0.36, least_blocks=16)
"""Where 2 % of training's images are unfamiliar: 4, 7 and 10 % of parts."""
_TESTS = 7
"""The centre's has one side, the others two."""
_WINSORISED_AT = 5.0
"""Standard deviations; one wild part must not move a block's mean far."""
_TURNING = 1 / 8
"""Weight of a new block in the direction that the centre is looked for in."""


class EmbeddingMonitor:
    """Watches one station against a reference; used by one thread at a time.

    Its tests together detect what is not there once in DAYS_BETWEEN_FALSE_DETECTIONS days or less.
    """

    def __init__(self, reference: EmbeddingReference, *, parts_per_day: float) -> None:
        self.parts = 0
        """Placed so far: those that were decided for a class that the reference knows."""
        self.embedding = Embedding(reference)
        axes = self.embedding.axes
        alike = max(1.0, reference.images / reference.effective_images) / BLOCK
        self._unfamiliar_from = reference.unfamiliar_from
        self._share = reference.unfamiliar_share
        share_error = 1 / math.sqrt(reference.effective_images)
        mean_sizes = widened(MEASURE_SIZES, reference.mean_error)
        share_sizes = widened(UNFAMILIAR_SIZES, share_error)
        centre_sizes = widened(CENTRE_SIZES, reference.centre_error)
        self._standings = [Standing(s) for s in (centre_sizes, mean_sizes, mean_sizes, share_sizes)]
        self._shares = tuple(
            effects.shifted_by_h(np.full((2, 1), self._share), np.array([[h], [-h]]))
            for h in (share_sizes.tolerated, share_sizes.warning)
        )
        self._evidence = Evidence(len(STATISTICS), needed(_TESTS, parts_per_day))
        self._onsets = np.zeros((2, len(STATISTICS)))
        self._spread = Spread(axes, alike)
        self._scatter = Scatter(np.full(2, alike))
        self._drift = np.zeros(axes)
        self._block: list[tuple[datetime, Floats]] = []
        self._sums = np.zeros((BLOCKS, 2, axes))
        """Of the last blocks' values along the axes, and of their squares."""
        self._rest = np.zeros((BLOCKS, 5))
        """Of distance and residual, standardised and as logarithms; of the unfamiliar."""
        self._blocks = 0

    @property
    def level(self) -> DriftLevel:
        """The gravest level of any statistic."""
        return highest(standing.level for standing in self._standings)

    def observe(self, part: Part) -> None:
        """Take in one part, in the order of the line; one without features says nothing."""
        place = None if part.features is None else self.embedding.place(part.features, part.label)
        if place is None:
            return
        self.parts += 1
        self._block.append((part.at, row(place)))
        if len(self._block) == BLOCK:
            self.take_block(self._block[0][0], np.stack([values for _, values in self._block]))
            self._block.clear()

    def moved(self) -> tuple[Moved, ...]:
        """What has moved, the gravest first and then the largest for its size."""
        moved = gravest_first(self._standings, self._recent_effect)
        return tuple(self._describe(index) for index in moved)

    def effects(self) -> dict[str, float]:
        """Effect of every statistic over the most recent parts; empty before the first block."""
        if not self._blocks:
            return {}
        return {name: self._recent_effect(i) for i, name in enumerate(STATISTICS)}

    def state_bytes(self) -> int:
        """Bytes of numbers held, the reference's among them; Python's own overhead is not in it."""
        block = BLOCK * (self.embedding.axes + 4) * 8
        learnt = sum(array.nbytes for array in self.state().values())
        return learnt + block + self.embedding.state_bytes()

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learnt, but for the parts of a block that is not full: arrays by name.

        They are the monitor's own: copy or write them before the next part.
        """
        return {
            "parts": np.array(self.parts - len(self._block)),
            "blocks": np.array(self._blocks),
            "onsets": self._onsets,
            "standings": np.array([standing.state() for standing in self._standings]),
            "drift": self._drift,
            "sums": self._sums,
            "rest": self._rest,
            **named("evidence", self._evidence.state()),
            **named("scatter", self._scatter.state()),
            **named("spread", self._spread.state()),
        }

    def resume(self, state: State) -> None:
        """Go on from what another monitor of the same reference has learnt.

        Raises ValueError where the state is of another form; this monitor is then of no use.
        """
        self.parts, self._blocks = number(state, "parts"), number(state, "blocks")
        standings = np.array([standing.state() for standing in self._standings])
        own = {"onsets": self._onsets, "drift": self._drift, "sums": self._sums, "rest": self._rest}
        take_over({**own, "standings": standings}, state)
        for standing, numbers in zip(self._standings, standings.tolist(), strict=True):
            standing.resume(numbers)
        self._evidence.resume(portion("evidence", state))
        self._scatter.resume(portion("scatter", state))
        self._spread.resume(portion("spread", state))

    # --- once per block -----------------------------------------------------------------------------

    def take_block(self, began: datetime, rows: Floats) -> None:
        """Take in the `row`s (BLOCK, axes + 4) of parts; `began` is when the first was decided."""
        axes = self.embedding.axes
        values = np.clip(rows[:, : axes + 2], -_WINSORISED_AT, _WINSORISED_AT)
        unfamiliar = rows[:, axes : axes + 2].max(axis=1) > self._unfamiliar_from
        self._write(values, rows[:, axes + 2 :], unfamiliar)
        means = values.mean(axis=0)
        self._evidence.add(self._steps(means[:axes], means[axes:], unfamiliar))
        # After the bets: an e-value may know only what came before its block.
        self._spread.add(means[:axes])
        self._scatter.add(means[axes:])
        self._drift += _TURNING * (means[:axes] - self._drift)
        judge_block(self._standings, self._evidence, self._onsets, began, self._recent_effect)

    def _steps(
        self, along: Floats, apart: Floats, unfamiliar: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.float64]:
        """Log e-values (2, statistics) of a block's means."""
        steps = np.zeros((2, len(STATISTICS)))
        length = float(np.linalg.norm(self._drift))
        if length:
            # Whatever direction the past chose: if the centre is near, its part along it is nearer.
            direction = self._drift / length
            sizes = self._standings[0].sizes
            steps[0, 0] = mean_steps(
                np.array([direction @ along]),
                np.array([self._spread.along(direction)]),
                np.array([sizes.tolerated]),
                np.array([sizes.warning]),
            )[0, 0]
        sizes = self._standings[1].sizes
        tolerated, sought = np.full(2, sizes.tolerated), np.full(2, sizes.warning)
        steps[:, 1:3] = mean_steps(apart, self._scatter.variance, tolerated, sought)
        steps[:, 3:] = share_steps(unfamiliar[:, None].astype(np.float64), *self._shares)
        return steps

    def _write(self, values: Floats, logarithms: Floats, unfamiliar: npt.NDArray[np.bool_]) -> None:
        slot, axes = self._blocks % BLOCKS, self.embedding.axes
        self._blocks += 1
        self._sums[slot] = values[:, :axes].sum(axis=0), (values[:, :axes] ** 2).sum(axis=0)
        self._rest[slot] = (
            *values[:, axes:].sum(axis=0),
            *logarithms.sum(axis=0),
            unfamiliar.sum(),
        )

    def _recent_effect(self, index: int) -> float:
        return self._effect(index, self._recent(index))

    def _recent(self, index: int) -> int:
        standing = self._standings[index]
        return min(max(standing.blocks, standing.sizes.least_blocks), BLOCKS, self._blocks)

    def _means(self, blocks: int) -> tuple[Floats, Floats, Floats]:
        """Of the last blocks: (axes,) means and mean squares along the axes, and the five others."""
        slots = (self._blocks - 1 - np.arange(blocks)) % BLOCKS
        first, second = self._sums[slots].sum(axis=0) / (blocks * BLOCK)
        return first, second, self._rest[slots].sum(axis=0) / (blocks * BLOCK)

    def _effect(self, index: int, blocks: int) -> float:
        along, _, rest = self._means(blocks)
        if index == 0:
            # A mean of a few parts lies off the centre by chance alone.
            chance = self._spread.total / blocks
            return math.sqrt(max(0.0, float(along @ along) - chance))
        if index == 3:
            return float(effects.cohens_h(rest[4], np.array(self._share)))
        return float(rest[index - 1])

    def _describe(self, index: int) -> Moved:
        standing, blocks = self._standings[index], self._recent(index)
        along, squares, rest = self._means(blocks)
        effect, frechet = self._effect(index, blocks), None
        if index == 0:
            frechet = _frechet(along, squares - along**2)
            reference, now, unit = 0.0, effect, "standard deviations"
        elif index == 3:
            reference, now, unit = self._share, float(rest[4]), "share of parts"
        else:
            reference, now, unit = 1.0, math.exp(float(rest[index + 1])), "of training's"
        if standing.since is None:
            raise AssertionError("what has moved has begun to")
        return Moved(
            statistic=STATISTICS[index],
            level=standing.level,
            since=standing.since,
            reference=reference,
            now=now,
            unit=unit,
            effect=effect,
            psi=None,
            wasserstein=frechet,
            affected=None,
            words=words.of_features(STATISTICS[index], reference, now),
        )


def row(place: Place) -> Floats:
    """A part's place as `take_block` wants it: (axes + 4,)."""
    return np.array([*place.along, place.distance, place.residual, *place.nearer])


def _frechet(mean: Floats, variance: Floats) -> float:
    """Frechet distance to the standard normal distribution, of normal ones with independent axes."""
    widths = np.sqrt(np.maximum(variance, 0.0)) - 1
    return math.sqrt(float(mean @ mean) + float(widths @ widths))
