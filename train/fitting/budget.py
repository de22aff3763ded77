"""Whether a recipe over so many images fits the hours and the memory there are: the arithmetic.

Values in, values out; no torch. `train.fitting.pace` measures what goes in, `train plan` prints what
comes out. Epochs in which the backbone is frozen are counted like the others, so a plan errs on the side
of too long.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from train.fitting.recipe import Recipe

_MOST_EPOCHS = 1000
_STEP = 8
"""Batches are multiples of it: what tensor cores want."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a machine manages at one side of the images, images per second."""

    teaching: float
    """From file to updated weights: decoding, augmenting and the update overlap as they do in a run."""
    validating: float
    """From file to answer."""
    loading: float
    """Decoding and augmenting alone."""
    updating: float
    """Forward, backward and the update alone, on pixels that are there already."""

    @property
    def loader_share(self) -> float:
        """Share of the time that better loading could save at most."""
        return max(0.0, 1 - self.teaching / self.updating)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One run: a recipe over a data set."""

    recipe: Recipe
    images: int
    val_split: float
    """Share that is held back."""

    def shown(self) -> int:
        """Training images of an epoch."""
        return self.recipe.shown(max(1, self.images - self._held_back))

    def seconds(self, paces: Mapping[int, Pace], opening: float) -> float:
        """How long it takes, by the paces at its sides; `opening` is images per second at the start,
        when each is decoded once."""
        sides = Counter(map(self.recipe.side, range(self.recipe.epochs)))
        epochs = sum(n * self._epoch_seconds(paces[side]) for side, n in sides.items())
        return self.images / opening + epochs

    def _epoch_seconds(self, pace: Pace) -> float:
        return self.shown() / pace.teaching + self._held_back / pace.validating

    @property
    def _held_back(self) -> int:
        return round(self.images * self.val_split)


def total_seconds(works: Sequence[Work], paces: Mapping[int, Pace], opening: float) -> float:
    """All runs, one after the other."""
    return sum(work.seconds(paces, opening) for work in works)


def with_epochs(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe over so many epochs; those of freezing and unfreezing give way."""
    frozen = min(recipe.freeze_epochs, epochs)
    joining = min(recipe.unfreeze_epochs, epochs - frozen)
    return replace(recipe, epochs=epochs, freeze_epochs=frozen, unfreeze_epochs=joining)


def most_epochs(
    works: Sequence[Work], paces: Mapping[int, Pace], opening: float, *, seconds: float
) -> int:
    """The most epochs of every run that fit; 0 where not even one does."""

    def needed(epochs: int) -> float:
        changed = [replace(work, recipe=with_epochs(work.recipe, epochs)) for work in works]
        return total_seconds(changed, paces, opening)

    return bisect_right(range(1, _MOST_EPOCHS + 1), seconds, key=needed)


def most_epoch_images(
    works: Sequence[Work], paces: Mapping[int, Pace], opening: float, *, seconds: float
) -> int:
    """The most images per epoch (`--epoch-images`) with which all epochs of every run fit; 0 where even
    the validation takes too long."""

    def needed(images: int) -> float:
        changed = [
            replace(work, recipe=replace(work.recipe, epoch_images=min(images, work.shown())))
            for work in works
        ]
        return total_seconds(changed, paces, opening)

    least = 2
    most = max(work.shown() for work in works)
    found = bisect_right(range(least, most + 1), seconds, key=needed)
    return found + least - 1 if found else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Peak memory of training with one batch size."""

    batch: int
    peak: float
    """Bytes; infinity where the device refused."""


def largest_batch(readings: Sequence[Reading], limit: float) -> int:
    """The largest batch within `limit` bytes by the line through the readings; 0 where none is.

    Of two finite readings and more the outermost make the line, one alone makes a line through 0. From 8
    on batches are multiples of 8.
    """
    finite = sorted((r for r in readings if math.isfinite(r.peak)), key=lambda r: r.batch)
    if not finite:
        return 0
    first, last = finite[0], finite[-1]
    per_image, fixed = last.peak / last.batch, 0.0
    if first.batch < last.batch and first.peak < last.peak:
        per_image = (last.peak - first.peak) / (last.batch - first.batch)
        fixed = last.peak - per_image * last.batch
    batch = max(0, math.floor((limit - fixed) / per_image))
    return batch - batch % _STEP if batch >= _STEP else batch


def smaller_batch(batch: int) -> int:
    """The next one to try where `batch` did not fit: an eighth less, in multiples of 8; 0 at last."""
    less = batch * 7 // 8
    return less - less % _STEP if less >= _STEP else batch // 2
