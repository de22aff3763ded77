"""The monitor of one station: decided parts in, what has moved out.

A statistic counts as moved when two things hold: a sequential test has detected that its mean left the
tolerated band, and the mean since then is off by a stated size. The test alone would fire for every
harmless difference, the size alone for every unlucky hour.

Knows no clock, no thread and no topic. Memory does not grow; a part costs an append, and the work is
done once per block of parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import (
    DriftLevel,
    DriftReference,
    MeasureReference,
    Moved,
    ShareReference,
)
from edge_runtime.contracts.performance import Estimated
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.drift import effects, words
from edge_runtime.drift.estimate import Answered, Estimator, doubt
from edge_runtime.drift.levels import Standing, highest
from edge_runtime.drift.part import Part
from edge_runtime.drift.sequential import Evidence, needed
from edge_runtime.drift.series import Counted, Measured, unit, watched
from edge_runtime.drift.standings import gravest_first, judge_block
from edge_runtime.drift.state import State, named, number, portion, take_over
from edge_runtime.drift.window import BLOCK, BLOCKS, Window

Floats = npt.NDArray[np.float64]


class Monitor:
    """Watches one station against a reference; used by one thread at a time.

    `parts_per_day` turns days between false detections into blocks; an upper estimate is safe. Of
    several `cameras` each is measured by itself as well. All tests of a station share one allowance of
    false detections: `tests` is their number where they are not all of this monitor.
    """

    def __init__(
        self,
        reference: DriftReference,
        *,
        parts_per_day: float,
        cameras: int = 1,
        tests: int | None = None,
    ) -> None:
        self.parts = 0
        """Watched so far."""
        self._measures = reference.measures
        self._shares = watched(reference)
        self._measured = Measured(reference)
        self._counted = Counted(self._shares)
        count = len(self._measures) + len(self._shares)
        # Each statistic has two tests, for a rise and for a fall.
        tests = tests or count + (cameras * len(self._measures) if cameras > 1 else 0)
        self._evidence = Evidence(count, needed(2 * tests, parts_per_day))
        self._onsets = np.zeros((2, count))
        """Unix time, seconds, at which the evidence last started anew."""
        self._standings = [
            Standing(sizes) for sizes in (*self._measured.sizes, *self._counted.sizes)
        ]
        self._window = Window.over(self._measures, len(self._shares))
        # Selected images have another mix of truths behind each answer than the line.
        known = reference.answers if reference.line_mix else None
        self._estimator = Estimator(known) if known is not None else None
        self._block: list[Part] = []
        alone = reference.model_copy(update={"shares": (), "answers": None})
        self._by_camera = tuple(
            Monitor(alone, parts_per_day=parts_per_day, tests=tests)
            for _ in range(cameras if cameras > 1 else 0)
        )

    @property
    def level(self) -> DriftLevel:
        """The gravest level of any statistic."""
        own = [standing.level for standing in self._standings]
        return highest([*own, *(camera.level for camera in self._by_camera)])

    def observe(self, part: Part) -> None:
        """Take in one part, in the order of the line."""
        self.parts += 1
        if self._by_camera:
            for camera, view in zip(part.cameras, part.measured, strict=False):
                self._by_camera[camera].observe(
                    replace(part, statistics=view, further=(), cameras=(0,))
                )
        self._block.append(part)
        if len(self._block) == BLOCK:
            self.take_block(self._block[0].at, *self.numbers(self._block))
            if self._estimator is not None:
                self._estimator.take_block(_answers(self._block))
            self._block.clear()

    def numbers(self, block: Sequence[Part]) -> tuple[Floats, Floats]:
        """Measures (views seen, measures) and shares (parts, shares) of a block, in the order of the
        reference; of the shares those that are `watched`."""
        return self._measured.values(block), self._counted.values(block)

    def moved(self) -> tuple[Moved, ...]:
        """What has moved, the gravest first and then the largest for its size; cameras after the station
        as a whole, which leaves to them what they tell more closely."""
        cameras = [
            moved.model_copy(update={"camera": number, "words": f"camera {number}: {moved.words}"})
            for number, camera in enumerate(self._by_camera)
            for moved in camera.moved()
        ]
        closer = {moved.statistic for moved in cameras}
        return (*(each for each in self._moved() if each.statistic not in closer), *cameras)

    def _moved(self) -> tuple[Moved, ...]:
        moved = gravest_first(self._standings, self._recent_effect)
        return tuple(self._describe(index) for index in moved)

    def answered(self) -> Answered | None:
        """What `estimate` works on; None where nothing can be estimated."""
        if self._estimator is None:
            return None
        shifts = [self._window.shift(index, BLOCKS) for index in range(len(self._measures))]
        name, furthest = max(
            zip((m.name for m in self._measures), shifts, strict=True),
            key=lambda each: abs(each[1]),
        )
        return self._estimator.answered(doubt(name, furthest))

    def estimate(self, answered: Answered) -> Estimated | None:
        """How well the station does, as far as that can be told without a label; None of too few parts.

        Takes milliseconds, and may run beside all else that the monitor does.
        """
        return None if self._estimator is None else self._estimator.estimate(answered)

    def effects(self) -> dict[str, float]:
        """Signed effect of every statistic over the most recent parts; empty before the first block."""
        if not self._window.blocks:
            return {}
        names = [*(each.name for each in self._measures), *(each.name for each in self._shares)]
        return {name: self._recent_effect(index) for index, name in enumerate(names)}

    def state_bytes(self) -> int:
        """Bytes of numbers held for all statistics; Python's own overhead is not in it."""
        return sum(array.nbytes for array in self.state().values())

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """All that was learnt, but for the parts of a block that is not full: arrays by name.

        They are the monitor's own: copy or write them before the next part.
        """
        arrays = {
            "parts": np.array(self.parts - len(self._block)),
            "onsets": self._onsets,
            "standings": np.array([standing.state() for standing in self._standings]),
            **named("window", self._window.state()),
            **named("evidence", self._evidence.state()),
            **named("scatter", self._measured.scatter.state()),
        }
        if self._estimator is not None:
            arrays |= named("answers", self._estimator.state())
        for place, camera in enumerate(self._by_camera):
            arrays |= named(f"camera{place}", camera.state())
        return arrays

    def resume(self, state: State) -> None:
        """Go on from what another monitor of the same reference has learnt.

        Raises ValueError where the state is of another form; this monitor is then of no use.
        """
        self.parts = number(state, "parts")
        standings = np.array([standing.state() for standing in self._standings])
        take_over({"onsets": self._onsets, "standings": standings}, state)
        for standing, row in zip(self._standings, standings.tolist(), strict=True):
            standing.resume(row)
        self._window.resume(portion("window", state))
        self._evidence.resume(portion("evidence", state))
        self._measured.scatter.resume(portion("scatter", state))
        if self._estimator is not None:
            self._estimator.resume(portion("answers", state))
        for place, camera in enumerate(self._by_camera):
            camera.resume(portion(f"camera{place}", state))

    # --- once per block -----------------------------------------------------------------------------

    def take_block(self, began: datetime, values: Floats, shares: Floats) -> None:
        """Take in what `numbers` makes of a block of parts; `began` is when the first was decided."""
        standardised = self._measured.standardised(values)
        self._window.write(values, standardised, shares)
        self._evidence.add(
            np.hstack((self._measured.steps(standardised), self._counted.steps(shares)))
        )
        judge_block(self._standings, self._evidence, self._onsets, began, self._recent_effect)

    def _recent_effect(self, index: int) -> float:
        return self._effect(index, self._recent(index))

    def _recent(self, index: int) -> int:
        standing = self._standings[index]
        return min(max(standing.blocks, standing.sizes.least_blocks), BLOCKS)

    def _effect(self, index: int, blocks: int) -> float:
        if index < len(self._measures):
            return self._window.shift(index, blocks)
        index -= len(self._measures)
        now, before = self._window.share(index, blocks), self._shares[index].mean
        return 0.0 if now is None else float(effects.cohens_h(np.array(now), np.array(before)))

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
        seen = self._window.share(index - len(self._measures), blocks)
        now = share.mean if seen is None else seen
        return Moved(
            statistic=share.name,
            level=standing.level,
            since=_known(standing.since),
            reference=share.mean,
            now=now,
            unit=unit(share.name),
            effect=self._effect(index, blocks),
            psi=None,
            wasserstein=None,
            affected=None,
            words=words.of_share(share.name, share.mean, now),
        )


def _answers(block: Sequence[Part]) -> Iterator[tuple[Outcome, str, float]]:
    """What the estimate counts of a block: the parts that were inspected."""
    for part in block:
        if part.label is not None and part.certain is not None:
            yield part.outcome, part.label, part.certain


def _known(moment: datetime | None) -> datetime:
    if moment is None:
        raise AssertionError("what has moved has begun to")
    return moment
