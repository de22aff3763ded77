"""From answers to learning curves: points with intervals, paired differences, labels saved.

Values in, values out. All trials of a comparison judge the same images and are given the same draws of
their groups, so that two curves are compared draw by draw.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt

from optimize.bounds import Real
from train.decision.crossfit import judge
from train.evidence.comparison import Difference, Point, Worth
from train.figures.resamples import (
    DEFECT_RECALL,
    MACRO_F1,
    REACHABLE,
    confusions,
    draw_groups,
    estimate,
    figures,
    mean_over_seeds,
)
from train.figures.worth import estimate_labels, labels_needed

WORTH_KNOWING = (MACRO_F1, REACHABLE, DEFECT_RECALL)
"""Figures whose labels are counted: those that more labels raise."""


class Judges:
    """The judged images, and the draws of their groups that every trial is given."""

    def __init__(
        self,
        labels: tuple[str, ...],
        ok_labels: tuple[str, ...],
        groups: Sequence[str],
        truth: npt.NDArray[np.int64],
        *,
        max_false_positives: float,
        resamples: int,
        seed: int = 0,
    ) -> None:
        self._labels, self._ok_labels = labels, ok_labels
        self._groups, self._truth = groups, truth
        self._limit = max_false_positives
        self._members = np.unique(np.asarray(groups), return_inverse=True)[1]
        self._draws = draw_groups(int(self._members.max()) + 1, resamples, seed)

    def figures(
        self, logits: npt.NDArray[np.float32], parts: npt.NDArray[np.int64]
    ) -> dict[str, Real]:
        """Every figure of one trial's answers (N, classes) over the draws; raises DatasetError."""
        answers = judge(
            logits, self._truth, self._groups, self._labels, self._ok_labels, parts, self._limit
        )
        at_rule, at_limit, reachable = (
            confusions(self._draws, self._members, self._truth, answered, len(self._labels))
            for answered in (answers.at_rule, answers.at_limit, answers.reachable)
        )
        return figures(at_rule, at_limit, reachable, self._labels, self._ok_labels)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """One arm at one share: its figures over the draws, for each seed."""

    arm: str
    share: float
    labels: float
    """Images that taught; the mean over seeds and rounds."""
    seeds: tuple[Mapping[str, Real], ...]

    @cached_property
    def mean(self) -> dict[str, Real]:
        """Every figure averaged over the seeds, draw by draw."""
        return mean_over_seeds(self.seeds)

    def point(self, confidence: float) -> Point:
        """What is told of it."""
        return Point(
            arm=self.arm,
            share=self.share,
            labels=self.labels,
            figures={name: estimate(drawn, confidence) for name, drawn in self.mean.items()},
            spread={name: self._spread(name) for name in self.seeds[0]},
        )

    def _spread(self, name: str) -> float | None:
        values = np.array([seed[name][0] for seed in self.seeds])
        values = values[~np.isnan(values)]
        return float(values.std(ddof=1)) if len(values) > 1 else None


def differences(curves: Sequence[Curve], confidence: float) -> tuple[Difference, ...]:
    """Each later arm less each earlier one, at every share that both have."""
    found = []
    for rival, arm in combinations(curves, 2):
        if arm.share != rival.share or arm.arm == rival.arm:
            continue
        mine, theirs = arm.mean, rival.mean
        found.append(
            Difference(
                arm=arm.arm,
                rival=rival.arm,
                share=arm.share,
                figures={
                    name: estimate(drawn - theirs[name], confidence) for name, drawn in mine.items()
                },
            )
        )
    return tuple(found)


def worths(curves: Sequence[Curve], confidence: float) -> tuple[Worth, ...]:
    """For each arm at each share: the labels with which each other arm is as good."""
    by_arm: dict[str, list[Curve]] = {}
    for curve in sorted(curves, key=lambda curve: curve.labels):
        by_arm.setdefault(curve.arm, []).append(curve)
    found: list[Worth] = []
    for arm, rival in permutations(dict.fromkeys(curve.arm for curve in curves), 2):
        names = [name for name in WORTH_KNOWING if name in by_arm[arm][0].seeds[0]]
        for name in names:
            found += _needed(by_arm[arm], by_arm[rival], name, confidence)
    return tuple(found)


def _needed(
    arm: Sequence[Curve], rival: Sequence[Curve], name: str, confidence: float
) -> Iterable[Worth]:
    # Of few groups, two shares can be the very same images: one point then, and not two.
    rival = list({point.labels: point for point in rival}.values())
    labels = np.array([point.labels for point in rival])
    theirs = np.stack([point.mean[name] for point in rival], axis=1)
    for point in arm:
        needed = labels_needed(labels, theirs, point.mean[name])
        yield Worth(
            arm=point.arm,
            rival=rival[0].arm,
            figure=name,
            share=point.share,
            labels=point.labels,
            needed=estimate_labels(needed, float(labels[0]), confidence),
        )
