"""The recipe of a run: every setting that shapes the weights, and the arithmetic that follows from it.

Values in, values out; no torch. `train.fitting.loop` carries it out. Defaults suit the fine-tuning of a
small backbone on a few thousand images; names are timm's where timm has the setting.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Settings of the optimisation. Raises UsageError where a value cannot be."""

    img_size: int = 256
    """Side of the model's input, pixels."""
    train_img_size: int | None = None
    """Side during all but the last epochs; None trains at `img_size` throughout. On two CPU cores an
    image costs 21, 47, 96 ms at 128, 192, 256 pixels."""
    full_size_epochs: int = 3
    """How many last epochs run at `img_size` where `train_img_size` is smaller; the best is one of
    them."""
    epochs: int = 12
    freeze_epochs: int = 1
    """First epochs in which only the head learns: its first gradients would spoil the backbone."""
    warmup_epochs: int = 1
    """Epochs over which the rate rises once the backbone learns."""
    batch_size: int = 32
    lr: float = 1e-3
    min_lr: float = 1e-6
    weight_decay: float = 0.05
    smoothing: float = 0.05
    """Label smoothing."""
    model_ema_decay: float = 0.995
    """Of the averaged weights, per step; ramped up from 0 so that short runs are not held back."""
    sampling_power: float = 0.5
    """Classes are drawn in proportion to images ** power: 1 as they come, 0 all equally often. 0.5 shows
    a class of 10 images among 4,000 a hundred times per epoch and not seven hundred times."""
    logit_adjustment: float = 1.0
    """Weight of the log share of the draws that is added to the logits in the loss (Menon et al. 2021):
    at 1 the network answers as if classes were equally frequent, whatever the draws."""
    seed: int = 0

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float, float, float], ...] = (
            ("img-size", self.img_size, 8, 4096),
            ("train-img-size", self.side(0), 8, self.img_size),
            ("epochs", self.epochs, 1, math.inf),
            ("full-size-epochs", self.full_size_epochs, 1, math.inf),
            ("freeze-epochs", self.freeze_epochs, 0, self.epochs),
            ("warmup-epochs", self.warmup_epochs, 0, math.inf),
            ("batch-size", self.batch_size, 2, math.inf),
            ("lr", self.lr, 1e-12, 10),
            ("min-lr", self.min_lr, 0, self.lr),
            ("weight-decay", self.weight_decay, 0, math.inf),
            ("smoothing", self.smoothing, 0, 0.9),
            ("model-ema-decay", self.model_ema_decay, 0, 0.999999),
            ("sampling-power", self.sampling_power, 0, 1),
            ("logit-adjustment", self.logit_adjustment, 0, 2),
            ("seed", self.seed, 0, 2**32 - 1),
        )
        for flag, value, low, high in limits:
            if not low <= value <= high:
                raise UsageError(f"--{flag} {value}: expected a value from {low} to {high}")

    def side(self, epoch: int) -> int:
        """Side of the training images in that epoch (from 0), pixels."""
        if self.train_img_size is None or epoch >= self.epochs - self.full_size_epochs:
            return self.img_size
        return self.train_img_size

    def shown(self, images: int) -> int:
        """How many of that many training images an epoch shows: whole batches, or all of less than one.

        A last, smaller batch would give its images more weight and batch norm a poor estimate.
        """
        return images - images % self.batch_size or images

    def frozen(self, epoch: int) -> bool:
        """Whether only the head learns in that epoch."""
        return epoch < self.freeze_epochs

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """Of that step (from 0): constant while frozen, a linear rise, a cosine down to `min_lr`."""
        step -= self.freeze_epochs * steps_per_epoch
        if step < 0:
            return self.lr
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return self.lr * (step + 1) / (warmup + 1)
        total = (self.epochs - self.freeze_epochs) * steps_per_epoch
        done = (step - warmup) / max(1, total - warmup)
        return self.min_lr + (self.lr - self.min_lr) * (1 + math.cos(math.pi * done)) / 2

    def ema_decay(self, step: int) -> float:
        """Of the averaged weights after that step (from 0)."""
        return min(self.model_ema_decay, (1 + step) / (10 + step))


def drawing_shares(counts: Sequence[int], power: float) -> npt.NDArray[np.float64]:
    """Share of the draws that each class gets, from its images: proportional to counts ** power.

    A class without images gets none, whatever the power.
    """
    images = np.asarray(counts, np.float64)
    weights = np.where(images > 0, images**power, 0.0)
    return np.asarray(weights / weights.sum())


def draw_epoch(
    classes: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], random: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Positions to show in one epoch, as many as there are images, classes in the given shares.

    A class is gone through whole, in random order, before any of its images comes again. Shares are met
    to within rounding, the odd images going by lot.
    """
    quota = shares * len(classes)
    wanted = np.floor(quota).astype(np.int64)
    left = len(classes) - int(wanted.sum())
    if left:
        remainder = (quota - wanted) / (quota - wanted).sum()
        wanted += random.multinomial(left, remainder)
    drawn: list[npt.NDArray[np.int64]] = []
    for label, count in enumerate(wanted.tolist()):
        members = np.flatnonzero(classes == label)
        while count > 0:
            drawn.append(random.permutation(members)[:count])
            count -= len(members)
    return random.permutation(np.concatenate(drawn))
