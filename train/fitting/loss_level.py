"""Whether a run's loss has run away: a rule over the losses as they come. Values in, values out."""

import math
from dataclasses import dataclass, replace
from typing import Self

_MEMORY = 50
"""Batches that the running mean reaches back."""
_FACTOR = 3.0
"""How far above its lowest mean the loss must lie."""
_PATIENCE = 200
"""Batches in a row that it must lie there: joining stages and another image size pass sooner."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LossLevel:
    """The running mean of the loss, the lowest that it has been, and how long it has been far above.

    Diverged is a loss that is no number, or whose mean lay for 200 batches above three times its lowest
    value, and above that value by half the loss of a network that answers alike to everything: so that
    neither the noise of a loss near 0 nor a hard batch ends a run.
    """

    mean: float = 0.0
    lowest: float = math.inf
    above: int = 0
    seen: int = 0

    def after(self, loss: float, undecided: float) -> Self:
        """The level after one more batch; `undecided` is the loss of a network that knows nothing."""
        seen = self.seen + 1
        mean = self.mean + (loss - self.mean) / min(seen, _MEMORY)
        settled = seen >= _MEMORY
        far = settled and mean > max(_FACTOR * self.lowest, self.lowest + undecided / 2)
        return replace(
            self,
            mean=mean,
            lowest=min(self.lowest, mean) if settled else self.lowest,
            above=self.above + 1 if far else 0,
            seen=seen,
        )

    @property
    def diverged(self) -> bool:
        """Whether the run should end."""
        return not math.isfinite(self.mean) or self.above >= _PATIENCE
