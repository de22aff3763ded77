"""The monitor of one station: decided parts in, what has moved out.

A statistic counts as moved when two things hold: a sequential test has detected that its mean left the
tolerated band, and the mean since then is off by a stated size. The test alone would fire for every
harmless difference, the size alone for every unlucky hour.

Knows no clock, no thread and no topic. Memory does not grow; a part costs an append, and the work is
done once per block of parts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import (
    DriftLevel,
    DriftReference,
    MeasureReference,
    Moved,
    ShareReference,
)
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift import effects, words
from edge_runtime.drift.levels import (
    MEASURE_SIZES,
    SCORE_SIZES,
    SHARE_SIZES,
    Standing,
    highest,
    widened,
)
from edge_runtime.drift.sequential import Evidence, Scatter, mean_steps, share_steps
from edge_runtime.drift.statistics import MEASURES, FrameStatistics
from edge_runtime.drift.window import BLOCK, BLOCKS, Window

Floats = npt.NDArray[np.float64]

NOT_INSPECTED, REVIEW, SCORE, CLASS = "not_inspected", "review", "defect_score", "class:"
"""Names of shares in a reference."""
DAYS_BETWEEN_FALSE_DETECTIONS = 365.0
"""All tests of a station together; a false detection becomes an alarm only if it is large as well."""
_FEWEST_SEEN = BLOCK // 4
"""A block with fewer frames that could be seen says nothing about measures."""
_WINSORISED_AT = 5.0
"""Standard deviations; one wild frame must not move a block's mean far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is known of a part once it is decided."""

    at: datetime
    """When it was decided; UTC."""
    statistics: FrameStatistics | None
    """None where nothing could be seen."""
    outcome: Outcome
    label: str | None
    score: float | None
    """Defect score, 0..1; None where nothing was inspected."""


class Monitor:
    """Watches one station against a reference; used by one thread at a time.

    `parts_per_day` turns days between false detections into blocks; an upper estimate is safe.
    """

    def __init__(self, reference: DriftReference, *, parts_per_day: float) -> None:
        self.parts = 0
        """Watched so far."""
        self._measures = reference.measures
        self._shares = watched(reference)
        self._measured = _Measured(reference)
        self._counted = _Counted(self._shares)
        count = len(self._measures) + len(self._shares)
        steps = max(1.0, DAYS_BETWEEN_FALSE_DETECTIONS * parts_per_day / BLOCK)
        # Each statistic has two tests, and their rates of false detections add up.
        self._evidence = Evidence(count, math.log(2 * count * steps))
        self._onsets = np.full((2, count), None, object)
        self._standings = [
            Standing(sizes) for sizes in (*self._measured.sizes, *self._counted.sizes)
        ]
        self._window = Window.over(self._measures, len(self._shares))
        self._block: list[Part] = []

    @property
    def level(self) -> DriftLevel:
        """The gravest level of any statistic."""
        return highest(standing.level for standing in self._standings)

    def observe(self, part: Part) -> None:
        """Take in one part, in the order of the line."""
        self.parts += 1
        self._block.append(part)
        if len(self._block) == BLOCK:
            self.take_block(self._block[0].at, *self.numbers(self._block))
            self._block.clear()

    def numbers(self, block: Sequence[Part]) -> tuple[Floats, Floats]:
        """Measures (parts seen, measures) and shares (parts, shares) of a block, in the order of the
        reference; of the shares those that are `watched`."""
        rows = [part.statistics.row() for part in block if part.statistics is not None]
        values = np.array(rows).reshape(-1, len(MEASURES))[:, self._measured.columns]
        return values, self._counted.values(block)

    def moved(self) -> tuple[Moved, ...]:
        """What has moved, the gravest first and then the largest for its size."""
        indices = [i for i, s in enumerate(self._standings) if s.level is not DriftLevel.OK]
        indices.sort(
            key=lambda i: (
                self._standings[i].level is not DriftLevel.ALARM,
                -abs(self._effect(i, self._recent(i))) / self._standings[i].sizes.alarm,
            )
        )
        return tuple(self._describe(index) for index in indices)

    def effects(self) -> dict[str, float]:
        """Signed effect of every statistic over the most recent parts; empty before the first block."""
        if not self._window.blocks:
            return {}
        names = [*(each.name for each in self._measures), *(each.name for each in self._shares)]
        return {name: self._effect(index, self._recent(index)) for index, name in enumerate(names)}

    def state_bytes(self) -> int:
        """Bytes of numbers held for all statistics; Python's own overhead is not in it."""
        return self._window.state_bytes() + self._evidence.log.nbytes + self._evidence.steps.nbytes

    # --- once per block -----------------------------------------------------------------------------

    def take_block(self, began: datetime, values: Floats, shares: Floats) -> None:
        """Take in what `numbers` makes of a block of parts; `began` is when the first was decided."""
        standardised = self._measured.standardised(values)
        self._window.write(values, standardised, shares)
        self._evidence.add(
            np.hstack((self._measured.steps(standardised), self._counted.steps(shares)))
        )
        self._onsets[self._evidence.steps == 1] = began
        detected = self._evidence.detected()
        for index, standing in enumerate(self._standings):
            if standing.level is not DriftLevel.OK or detected[:, index].any():
                self._judge(index, standing, detected[:, index])

    def _judge(self, index: int, standing: Standing, detected: npt.NDArray[np.bool_]) -> None:
        if standing.level is DriftLevel.OK:
            side = int(self._evidence.log[:, index].argmax())
            standing.rising, standing.since = side == 0, self._onsets[side, index]
            standing.blocks = int(self._evidence.steps[side, index])
        else:
            side = 0 if standing.rising else 1
            standing.blocks += 1
        before = standing.level
        effect = self._effect(index, self._recent(index))
        standing.judge(effect, detected=bool(detected[side]))
        if standing.level is DriftLevel.OK is not before:
            self._evidence.forget(index)

    def _recent(self, index: int) -> int:
        standing = self._standings[index]
        return min(max(standing.blocks, standing.sizes.least_blocks), BLOCKS)

    def _effect(self, index: int, blocks: int) -> float:
        if index < len(self._measures):
            return self._window.shift(index, blocks)
        index -= len(self._measures)
        now, before = self._window.share(index, blocks), self._shares[index].mean
        return float(effects.cohens_h(np.array(now), np.array(before)))

    # --- what is said -------------------------------------------------------------------------------

    def _describe(self, index: int) -> Moved:
        blocks = self._recent(index)
        if index < len(self._measures):
            return self._describe_measure(index, self._measures[index], blocks)
        return self._describe_share(index, self._shares[index - len(self._measures)], blocks)

    def _describe_measure(self, index: int, measure: MeasureReference, blocks: int) -> Moved:
        standing, effect = self._standings[index], self._effect(index, blocks)
        now = self._window.mean(index, blocks)
        histogram = self._window.histogram(index, blocks)
        expected = np.array(measure.shares)
        distance = effects.wasserstein(np.array(measure.edges), expected, histogram)
        affected = self._window.affected(index, blocks)
        reference_value, unit = words.in_unit(measure.name, measure.mean)
        return Moved(
            statistic=measure.name,
            level=standing.level,
            since=_known(standing.since),
            reference=reference_value,
            now=words.in_unit(measure.name, now)[0],
            unit=unit,
            effect=effect,
            psi=effects.psi(expected, histogram),
            wasserstein=distance / measure.deviation,
            affected=affected,
            words=words.of_measure(measure.name, measure.mean, now, affected),
        )

    def _describe_share(self, index: int, share: ShareReference, blocks: int) -> Moved:
        standing = self._standings[index]
        now = self._window.share(index - len(self._measures), blocks)
        return Moved(
            statistic=share.name,
            level=standing.level,
            since=_known(standing.since),
            reference=share.mean,
            now=now,
            unit="score" if share.name == SCORE else "share of parts",
            effect=self._effect(index, blocks),
            psi=None,
            wasserstein=None,
            affected=None,
            words=words.of_share(share.name, share.mean, now),
        )


def watched(reference: DriftReference) -> tuple[ShareReference, ...]:
    """The shares that can be watched: all where the reference has the line's mix of classes."""
    return tuple(s for s in reference.shares if reference.line_mix or s.name == NOT_INSPECTED)


class _Measured:
    """The image statistics: how they are standardised and tested."""

    def __init__(self, reference: DriftReference) -> None:
        measures = reference.measures
        self.columns = [MEASURES.index(measure.name) for measure in measures]
        self._means = np.array([measure.mean for measure in measures])
        self._deviations = np.array([measure.deviation for measure in measures])
        known = np.array([measure.effective_images for measure in measures])
        self.sizes = [widened(MEASURE_SIZES, 1 / math.sqrt(images)) for images in known]
        self._tolerated = np.array([sizes.tolerated for sizes in self.sizes])
        self._sought = np.array([sizes.warning for sizes in self.sizes])
        self._scatter = Scatter(np.maximum(1.0, reference.images / known) / BLOCK)

    def standardised(self, values: Floats) -> Floats:
        """Values (parts, measures) in standard deviations from the reference's mean, winsorised."""
        away = (values - self._means) / self._deviations
        return np.asarray(np.clip(away, -_WINSORISED_AT, _WINSORISED_AT))

    def steps(self, standardised: Floats) -> Floats:
        """Log e-values (2, measures) of a block; of too few frames none."""
        if len(standardised) < _FEWEST_SEEN:
            return np.zeros((2, len(self.sizes)))
        means = standardised.mean(axis=0)
        variance = self._scatter.variance * (BLOCK / len(standardised))
        steps = mean_steps(means, variance, self._tolerated, self._sought)
        # After the bet: an e-value may know only what came before its block.
        self._scatter.add(means)
        return steps


class _Counted:
    """The shares and the score: how they are counted and tested."""

    def __init__(self, shares: tuple[ShareReference, ...]) -> None:
        self._columns = {share.name: column for column, share in enumerate(shares)}
        self._expected = np.array([share.mean for share in shares])
        self.sizes = [
            widened(
                SCORE_SIZES if share.name == SCORE else SHARE_SIZES,
                1 / math.sqrt(share.effective_images),
            )
            for share in shares
        ]
        sides = np.array([[1.0], [-1.0]])
        self._tolerated, self._sought = (
            effects.shifted_by_h(self._expected, sides * np.array(h))
            for h in ([s.tolerated for s in self.sizes], [s.warning for s in self.sizes])
        )

    def values(self, block: Sequence[Part]) -> Floats:
        """(parts, shares): 1 or 0, or the score; where there is no score what was expected."""
        columns = self._columns
        values = np.zeros((len(block), len(columns)))
        if (score := columns.get(SCORE)) is not None:
            values[:, score] = [
                self._expected[score] if part.score is None else part.score for part in block
            ]
        for row, part in enumerate(block):
            for name in (part.outcome.value, f"{CLASS}{part.label}"):
                if (column := columns.get(name)) is not None:
                    values[row, column] = 1.0
        return values

    def steps(self, values: Floats) -> Floats:
        """Log e-values (2, shares) of a block."""
        return share_steps(values, self._tolerated, self._sought)


def _known(moment: datetime | None) -> datetime:
    if moment is None:
        raise AssertionError("what has moved has begun to")
    return moment
