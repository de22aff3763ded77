"""The recipe of a run: every setting that shapes the weights, and the arithmetic that follows from it.

Values in, values out; no torch. `train.fitting.loop` carries it out. Defaults suit the fine-tuning of a
small backbone on a few thousand images; names are timm's where timm has the setting.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from edge_runtime.errors import UsageError

LossName = Literal["cross-entropy", "class-balanced", "focal", "generalized", "symmetric"]
LOSSES: tuple[LossName, ...] = get_args(LossName)


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
    epoch_images: int | None = None
    """Images shown per epoch; None shows as many as there are, `min_epoch_images` at least. The same
    number gives data sets of any size the same budget."""
    min_epoch_images: int = 512
    """Images shown per epoch where fewer teach, each then several times, under another augmentation:
    `epochs` of a hundred images would end before the network has moved. 0 shows each once."""
    freeze_epochs: int = 1
    """First epochs in which only the head learns: its first gradients would spoil the backbone."""
    unfreeze_epochs: int = 0
    """Epochs over which the backbone's stages then join in from the top; 0 lets all of them join at
    once."""
    warmup_epochs: int = 1
    """Epochs over which the rate rises once the backbone learns."""
    batch_size: int = 32
    grad_accum_steps: int = 1
    """Batches whose gradients make one update: as one batch of so many times the size, in a fraction
    of its memory, except that batch norm sees each batch by itself."""
    opt: str = "adamw"
    """Optimiser, by timm's name."""
    lr: float = 1e-3
    min_lr: float = 1e-6
    layer_decay: float = 1.0
    """Factor on the learning rate from each layer to the one below it; 1 lets all learn alike."""
    weight_decay: float = 0.05
    clip_grad: float | None = None
    """Largest norm of an update's gradient; None leaves it as it is."""
    drop_path: float = 0.0
    """Probability of skipping the last residual block while training; earlier ones in proportion."""
    loss: LossName = "cross-entropy"
    smoothing: float = 0.05
    """Label smoothing, of `cross-entropy`, `class-balanced` and `symmetric`."""
    focal_gamma: float = 2.0
    """How much less the focal loss heeds what the network is sure of already."""
    class_balance_beta: float = 0.999
    """Of the class-balanced loss: 0 weights all images alike, near 1 all classes."""
    generalized_q: float = 0.5
    """Of the generalised cross-entropy: towards 0 the cross-entropy, at 1 the mean absolute error, which
    wrong labels harm least and which learns slowest."""
    bn_momentum: float | None = None
    """How far batch norm's running statistics move at each update; None leaves it as the backbone has
    it, 0.1 with most: those of a run of fewer updates than some times 1 / momentum are still in part
    those that it began with."""
    bn_images: int = 0
    """Images of the target over which batch norm's statistics are estimated anew, before the first epoch
    and after each; 0 leaves them to the training."""
    qat: bool = False
    """Whether int8's rounding is imitated, so that the weights get used to it. For a last, short run
    from weights that are taught already."""
    model_ema_decay: float = 0.995
    """Of the averaged weights, per update; ramped up from 0 so that short runs are not held back."""
    sampling_power: float = 0.5
    """Classes are drawn in proportion to images ** power: 1 as they come, 0 all equally often. 0.5 shows
    a class of 10 images among 4,000 a hundred times per epoch and not seven hundred times."""
    logit_adjustment: float = 1.0
    """Weight of the log share of the draws that is added to the logits in the loss (Menon et al. 2021):
    at 1 the network answers as if classes were equally frequent, whatever the draws."""
    seed: int = 0

    def __post_init__(self) -> None:
        limits: tuple[tuple[str, float | None, float, float], ...] = (
            ("img-size", self.img_size, 8, 4096),
            ("train-img-size", self.train_img_size, 8, self.img_size),
            ("epochs", self.epochs, 1, math.inf),
            ("full-size-epochs", self.full_size_epochs, 1, math.inf),
            ("epoch-images", self.epoch_images, 2, math.inf),
            ("min-epoch-images", self.min_epoch_images, 0, math.inf),
            ("freeze-epochs", self.freeze_epochs, 0, self.epochs),
            ("unfreeze-epochs", self.unfreeze_epochs, 0, self.epochs - self.freeze_epochs),
            ("warmup-epochs", self.warmup_epochs, 0, math.inf),
            ("batch-size", self.batch_size, 2, math.inf),
            ("grad-accum-steps", self.grad_accum_steps, 1, math.inf),
            ("lr", self.lr, 1e-12, 10),
            ("min-lr", self.min_lr, 0, self.lr),
            ("layer-decay", self.layer_decay, 0.01, 1),
            ("weight-decay", self.weight_decay, 0, math.inf),
            ("clip-grad", self.clip_grad, 1e-12, math.inf),
            ("drop-path", self.drop_path, 0, 0.9),
            ("smoothing", self.smoothing, 0, 0.9),
            ("focal-gamma", self.focal_gamma, 0, 10),
            ("class-balance-beta", self.class_balance_beta, 0, 0.9999999),
            ("generalized-q", self.generalized_q, 0.01, 1),
            ("bn-momentum", self.bn_momentum, 1e-4, 1),
            ("bn-images", self.bn_images, 0, math.inf),
            ("model-ema-decay", self.model_ema_decay, 0, 0.999999),
            ("sampling-power", self.sampling_power, 0, 1),
            ("logit-adjustment", self.logit_adjustment, 0, 2),
            ("seed", self.seed, 0, 2**32 - 1),
        )
        for flag, value, low, high in limits:
            if value is not None and not low <= value <= high:
                raise UsageError(f"--{flag} {value}: expected a value from {low} to {high}")
        if self.loss not in LOSSES:
            raise UsageError(f"--loss {self.loss}: expected one of {', '.join(LOSSES)}")

    @property
    def update_size(self) -> int:
        """Images of one update."""
        return self.batch_size * self.grad_accum_steps

    def side(self, epoch: int) -> int:
        """Side of the training images in that epoch (from 0), pixels."""
        if self.train_img_size is None or epoch >= self.epochs - self.full_size_epochs:
            return self.img_size
        return self.train_img_size

    def drawn(self, images: int) -> int:
        """How many images are drawn for an epoch where that many teach."""
        return self.epoch_images or max(images, self.min_epoch_images)

    def shown(self, images: int) -> int:
        """How many of them it shows: whole updates, or all of less than one.

        A last, smaller update would give its images more weight and batch norm a poor estimate.
        """
        wanted = self.drawn(images)
        return wanted - wanted % self.update_size or wanted

    def learning_stages(self, epoch: int, stages: int) -> int:
        """How many of a backbone's stages, counted from the top, learn in that epoch (from 0)."""
        joined = (epoch - self.freeze_epochs + 1) / (self.unfreeze_epochs + 1)
        return math.ceil(stages * min(max(joined, 0), 1))

    def learning_rate(self, update: int, updates_per_epoch: int) -> float:
        """Of that update (from 0): constant while frozen, a linear rise, a cosine down to `min_lr`."""
        update -= self.freeze_epochs * updates_per_epoch
        if update < 0:
            return self.lr
        warmup = self.warmup_epochs * updates_per_epoch
        if update < warmup:
            return self.lr * (update + 1) / (warmup + 1)
        total = (self.epochs - self.freeze_epochs) * updates_per_epoch
        done = (update - warmup) / max(1, total - warmup)
        return self.min_lr + (self.lr - self.min_lr) * (1 + math.cos(math.pi * done)) / 2

    def ema_decay(self, update: int) -> float:
        """Of the averaged weights after that update (from 0)."""
        return min(self.model_ema_decay, (1 + update) / (10 + update))
