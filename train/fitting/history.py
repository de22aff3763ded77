"""What is known of a run's epochs: a row for each finished one, and how far the present one has come."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Self

from train.fitting.loss_level import LossLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One row of `metrics.csv`. Validation figures are the averaged weights', at the rule that
    `train.decision.decide` would choose."""

    epoch: int
    """From 1."""
    side: int
    """Of the images taught and validated, pixels."""
    lr: float
    """At its last update, of the layers that learn fastest."""
    loss: float
    """Mean over the training images."""
    images_per_s: float
    loader_share: float
    """Share of the training time in which the network waited for pixels."""
    seconds: float
    """Training and validation together."""
    reachable_f1: float
    """Macro F1 at the threshold that suits these images best: what epochs are ranked by."""
    macro_f1: float
    defect_recall: float | None
    false_positive_rate: float | None
    review_rate: float
    recall: Mapping[str, float | None]
    best: bool
    """Whether `best.pth` held this epoch at its time; never before the images have full size."""

    def row(self) -> dict[str, object]:
        """As columns, the recall of each class in its own."""
        row = asdict(self)
        recall = row.pop("recall")
        return row | {f"recall_{label}": value for label, value in recall.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an unfinished epoch has come: all that its remaining images do not say again."""

    images: int = 0
    """Shown so far."""
    loss_sum: float = 0.0
    """Over those images."""
    seconds: float = 0.0
    waited_s: float = 0.0
    """Of these seconds, those in which the network waited for pixels."""
    level: LossLevel = field(default_factory=LossLevel)
    """Of the whole run; the next epoch goes on with it."""

    @property
    def loss(self) -> float:
        """Mean so far."""
        return self.loss_sum / max(1, self.images)

    def next_epoch(self) -> Self:
        """Nothing shown yet, after this epoch."""
        return type(self)(level=self.level)
