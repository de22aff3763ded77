"""From readings of validation images to the limits that a bundle carries.

Owns the order: look at every image through an appearance fitted without it, set the damaged ones aside,
set each limit by its tail, try each on damaged images, and switch off what catches too little. Values
in, values out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.quality import Limit, Measure, QualityReference
from edge_runtime.quality.measures import Eye, Readings, read
from optimize.quality_limits import tails
from optimize.quality_limits.appearance import fit
from optimize.quality_limits.trials import TRIALS, Trial

Floats = npt.NDArray[np.float64]

COST = 0.005
"""Share of undamaged frames that all limits together may turn away: docs/quality.md shows others."""
LEAST_CAUGHT = 0.25
"""Of the trial's damage: a limit that catches less only costs good frames."""
_FEWEST_OF_A_CLASS = 10
"""Images; of fewer a class's tail cannot be told."""
_MANY_OF_A_CLASS = 40
"""Images; of fewer a quarter may be damaged although of all it is less than a tenth."""
_FOLDS = 5
_SEED = 20240304


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """What is known of the validation images."""

    readings: Sequence[Readings]
    labels: Sequence[str]
    groups: Sequence[str]
    """What each image belongs to; the empty string stands alone."""
    tried: Sequence[int]
    """The images that the trials were done to."""
    trials: Mapping[Trial, Sequence[Readings]]
    """Of the images `tried`, after each trial's damage."""


def after_trials(rng: np.random.Generator, pixels: Pixels) -> dict[Trial, Readings]:
    """The readings of an image after each trial's damage."""
    return {trial: read(trial.damage(rng, pixels)) for trial in TRIALS}


def set_limits(dataset: str, observed: Observed, cost: float) -> QualityReference:
    """The reference for these images; `dataset` is their name and content hash."""
    seen = _Seen.of(observed)
    aside = seen.damaged()
    limits = seen.limits(~aside, cost)
    kept = np.stack([frame.tiles for frame in observed.readings])[~aside]
    return QualityReference(
        dataset=dataset,
        images=len(observed.readings),
        cost=cost,
        set_aside=int(aside.sum()),
        limits=limits,
        appearance=fit(kept),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Seen:
    """Every measure of every image, through the eyes of images of other groups."""

    values: dict[Measure, Floats]
    """(images,)"""
    classes: tuple[npt.NDArray[np.bool_], ...]
    """(images,) each: the images of a class, of classes that have enough."""
    tried: npt.NDArray[np.intp]
    after: dict[Trial, Floats]
    """(images tried,): the trial's own measure after its damage."""

    @classmethod
    def of(cls, observed: Observed) -> "_Seen":
        folds = _folds(observed.groups)
        tiles = np.stack([frame.tiles for frame in observed.readings])
        values = {measure: np.zeros(len(tiles)) for measure in Measure}
        tried = np.array(observed.tried, np.intp)
        after = {trial: np.zeros(len(tried)) for trial in observed.trials}
        for fold in range(_FOLDS):
            eye = Eye(fit(tiles[folds != fold]))
            for index in map(int, np.flatnonzero(folds == fold)):
                for measure, value in eye.look(observed.readings[index]).values.items():
                    values[measure][index] = value
            for place in map(int, np.flatnonzero(folds[tried] == fold)):
                for trial, readings in observed.trials.items():
                    after[trial][place] = eye.look(readings[place]).values[trial.measure]
        labels = np.array(observed.labels)
        members = [labels == label for label in np.unique(labels)]
        return cls(
            values=values,
            classes=tuple(of for of in members if of.sum() >= _FEWEST_OF_A_CLASS),
            tried=tried,
            after=after,
        )

    def damaged(self) -> npt.NDArray[np.bool_]:
        """Which images look damaged themselves, (images,): beside all images and beside their class."""
        found = np.zeros(len(self.values[Measure.BRIGHTNESS]), bool)
        for trial in self.after:
            values = self._worse(trial)
            aside = tails.set_aside(values, trial.least_spread)
            for of in self.classes:
                few = int(of.sum()) < _MANY_OF_A_CLASS
                aside[of] &= tails.set_aside(values[of], trial.least_spread, few=few)
            found |= aside
        return found

    def limits(self, sound: npt.NDArray[np.bool_], cost: float) -> tuple[Limit, ...]:
        """Each trial's limit. What is switched off gives its share of the cost to the others."""
        useless: set[Trial] = set()
        while True:
            share = cost / max(1, len(self.after) - len(useless))
            made = {trial: self._limit(trial, sound, share) for trial in self.after}
            idle = {trial for trial, limit in made.items() if limit.caught < LEAST_CAUGHT}
            if idle <= useless:
                return tuple(
                    limit.model_copy(update={"off": _idle(limit)}) if trial in useless else limit
                    for trial, limit in made.items()
                )
            useless |= idle

    def _limit(self, trial: Trial, sound: npt.NDArray[np.bool_], share: float) -> Limit:
        sign = 1 if trial.side == "highest" else -1
        values = self._worse(trial)
        worst = tails.limit(values[sound], share, trial.least_spread)
        for of in self.classes:
            if among := int((sound & of).sum()):
                # A rare defect must not be turned away for its strangeness; how far it reaches beyond
                # its own few images is not guessed at.
                own = tails.limit(values[sound & of], max(share, 1 / among), trial.least_spread)
                worst = max(worst, own)
        # What is damaged already says nothing of what a trial did to it.
        after = (sign * self.after[trial])[sound[self.tried]]
        if trial.halfway and len(after):
            worst = max(worst, float(np.median(values[sound]) + np.median(after)) / 2)
        return Limit(
            check=trial.check,
            measure=trial.measure,
            side=trial.side,
            value=round(sign * worst, 4),
            trial=trial.words,
            caught=float((after > worst).mean()) if len(after) else 0.0,
        )

    def _worse(self, trial: Trial) -> Floats:
        """The trial's measure, turned so that higher is worse."""
        return (
            self.values[trial.measure] if trial.side == "highest" else -self.values[trial.measure]
        )


def _idle(limit: Limit) -> str:
    return (
        f"{limit.trial} would be noticed in {limit.caught:.0%} of the images only: they differ too much "
        "from each other"
    )


def _folds(groups: Sequence[str]) -> npt.NDArray[np.int64]:
    """A fold for each image; images of one group share it, since they are alike."""
    names = [group or f"\0{index}" for index, group in enumerate(groups)]
    numbers = np.unique(names, return_inverse=True)[1]
    return np.asarray(
        np.random.default_rng(_SEED).permutation(int(numbers.max()) + 1)[numbers] % _FOLDS
    )
