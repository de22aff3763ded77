"""Does it fit, and what would: the verdict on a recipe, and the table that it rests on.

Values in, words out; no torch. The arithmetic is `train.fitting.budget`'s.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from train.fitting.budget import (
    Pace,
    Reading,
    Work,
    most_epoch_images,
    most_epochs,
    total_seconds,
)

GB = 1e9
_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was asked for, what was measured, and what follows."""

    works: Mapping[str, Work]
    """The runs by name, in their order; all have the same recipe."""
    hours: float
    memory_gb: float
    paces: Mapping[int, Pace]
    """By the side of the images."""
    opening: float
    """Images per second at the start of a run."""
    readings: Sequence[Reading]
    largest: int
    """The largest batch that fits the memory."""

    @property
    def needed_hours(self) -> float:
        """Of all runs."""
        return total_seconds(self._works, self.paces, self.opening) / _HOUR

    @property
    def epochs(self) -> int:
        """The most epochs of every run that fit the hours."""
        return most_epochs(self._works, self.paces, self.opening, seconds=self.hours * _HOUR)

    @property
    def batch(self) -> int:
        """The recipe's."""
        return self._works[0].recipe.batch_size

    @property
    def peak_gb(self) -> float:
        """Memory at the recipe's batch; infinity where the device refused."""
        return next(r.peak for r in self.readings if r.batch == self.batch) / GB

    @property
    def fits(self) -> bool:
        """The hours and the memory both suffice."""
        return self.needed_hours <= self.hours and self.peak_gb <= self.memory_gb

    def verdict(self) -> str:
        """One line: it fits, or what does not and what would."""
        if self.fits:
            return (
                f"fits: {self.needed_hours:.1f} h of {self.hours:g} and {self.peak_gb:.1f} GB of "
                f"{self.memory_gb:g}; up to {self.epochs} epochs and a batch of {self.largest} would"
            )
        return "does not fit: " + "; ".join(self._shortfalls())

    def table(self) -> list[str]:
        """Lines for a person."""
        lines = [f"{'images/s':<34}" + "".join(f"{f'{side} px':>12}" for side in self.paces)]
        for name, figure in (
            ("decode and augment", "loading"),
            ("forward, backward, update", "updating"),
            ("both, as in a run", "teaching"),
            ("validate", "validating"),
        ):
            rates = [getattr(pace, figure) for pace in self.paces.values()]
            lines.append(f"{name:<34}" + "".join(f"{rate:>12,.1f}" for rate in rates))
        lines.append(
            f"{'share that the loader costs':<34}"
            + "".join(f"{pace.loader_share:>12.0%}" for pace in self.paces.values())
        )
        lines.append(f"{'open, once per run':<34}{self.opening:>12,.1f}")
        lines += ["", f"{'run':<12}{'images':>14}{'shown/epoch':>14}{'epochs':>8}{'hours':>12}"]
        for name, work in self.works.items():
            hours = work.seconds(self.paces, self.opening) / _HOUR
            lines.append(
                f"{name:<12}{work.images:>14,}{work.shown():>14,}{work.recipe.epochs:>8}"
                f"{hours:>12,.1f}"
            )
        lines.append(f"{'together':<48}{self.needed_hours:>12,.1f}")
        lines += ["", f"{'batch':<12}{'peak GB':>14}"]
        for reading in sorted(self.readings, key=lambda reading: reading.batch):
            peak = f"{reading.peak / GB:,.2f}" if math.isfinite(reading.peak) else "refused"
            lines.append(f"{reading.batch:<12}{peak:>14}")
        return lines

    @property
    def _works(self) -> tuple[Work, ...]:
        return tuple(self.works.values())

    def _shortfalls(self) -> list[str]:
        found = []
        recipe = self._works[0].recipe
        if self.needed_hours > self.hours:
            found.append(
                f"{recipe.epochs} epochs take {self.needed_hours:,.0f} h of {self.hours:g}: "
                f"{self._what_would()}"
            )
        if self.peak_gb > self.memory_gb:
            steps = math.ceil(recipe.update_size / self.largest) if self.largest >= 2 else 0
            found.append(
                f"a batch of {self.batch} takes {self.peak_gb:.1f} GB of {self.memory_gb:g}: take "
                + (
                    f"--batch-size {self.largest} --grad-accum-steps {steps}"
                    if steps
                    else "a smaller --model or --img-size"
                )
            )
        return found

    def _what_would(self) -> str:
        faster = f"or a machine {self.needed_hours / self.hours:.1f} times as fast"
        if self.epochs:
            return f"take --epochs {self.epochs}, {faster}"
        images = most_epoch_images(
            self._works, self.paces, self.opening, seconds=self.hours * _HOUR
        )
        if images:
            return f"not even one does; take --epoch-images {images}, {faster}"
        return f"opening and validation alone take longer; take fewer images, {faster}"
