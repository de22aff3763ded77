"""What a network is taught by: losses for imbalanced classes and for labels of which some are wrong.

Pure functions of logits (N, classes) and true classes (N,), each returning a loss per image (N,), so
that the mean over an update's batches is that over the whole of it. `TrainingLoss` is the recipe's
choice among them.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from train.fitting.recipe import LossName, Recipe

_SYMMETRIC_LOG_ZERO = -4.0
"""What stands for log 0 of the wrong classes in the symmetric loss, as its authors have it."""


class TrainingLoss:
    """The mean loss of a batch under a recipe, its logits adjusted to the shares of the draws."""

    def __init__(
        self,
        recipe: Recipe,
        counts: Sequence[int],
        shares: npt.NDArray[np.float64],
        device: torch.device,
    ) -> None:
        """`counts` are the images of each class, `shares` what each gets of the draws.

        A class that nothing teaches is kept out of the loss: its part of the head stays as it came.
        """
        taught = np.flatnonzero(shares)
        drawn = shares[taught]
        weights = class_weights(np.asarray(counts)[taught], drawn, recipe.class_balance_beta)
        self._per_image = _chosen(recipe, _on(device, weights))
        self._shift = _on(device, recipe.logit_adjustment * np.log(drawn))
        self._drawn = _on(device, drawn)
        self._taught = torch.from_numpy(taught).to(device)

    def __call__(self, logits: Tensor, classes: Tensor) -> Tensor:
        places = torch.searchsorted(self._taught, classes)
        return self._per_image(logits[:, self._taught] + self._shift, places).mean()

    def undecided(self) -> float:
        """The loss of a network that answers alike to everything."""
        places = torch.arange(len(self._taught), device=self._taught.device)
        logits = self._shift.expand(len(places), -1)
        return float((self._per_image(logits, places) * self._drawn).sum())


def class_weights(
    counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64], beta: float
) -> npt.NDArray[np.float64]:
    """Weights (classes,), one over the effective number of images, (1 - beta ** n) / (1 - beta), scaled
    to a mean of 1 over the draws (Cui et al. 2019, Class-Balanced Loss)."""
    weights = (1 - beta) / (1 - beta ** counts.astype(np.float64))
    return np.asarray(weights / (weights * shares).sum())


def focal(logits: Tensor, classes: Tensor, gamma: float) -> Tensor:
    """Cross-entropy times (1 - p) ** gamma, p the true class's probability (Lin et al. 2017)."""
    likelihood = -functional.cross_entropy(logits, classes, reduction="none")
    # The gradient of a power below 1 is infinite at 0.
    doubt = (-torch.expm1(likelihood)).clamp_min(1e-6)
    return -(doubt**gamma) * likelihood


def generalized(logits: Tensor, classes: Tensor, q: float) -> Tensor:
    """(1 - p ** q) / q, p the true class's probability (Zhang & Sabuncu 2018, Generalized Cross
    Entropy): an image that cannot be learned pulls less and less."""
    likelihood = -functional.cross_entropy(logits, classes, reduction="none")
    return -torch.expm1(q * likelihood) / q


def symmetric(logits: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy plus the reverse one, in equal parts (Wang et al. 2019, Symmetric Cross Entropy)."""
    likelihood = -functional.cross_entropy(logits, classes, reduction="none")
    reverse = -_SYMMETRIC_LOG_ZERO * -torch.expm1(likelihood)
    return (_smoothed(logits, classes, smoothing) + reverse) / 2


def _smoothed(logits: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    return functional.cross_entropy(logits, classes, reduction="none", label_smoothing=smoothing)


def _chosen(recipe: Recipe, weights: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    losses: dict[LossName, Callable[[Tensor, Tensor], Tensor]] = {
        "cross-entropy": lambda logits, y: _smoothed(logits, y, recipe.smoothing),
        "class-balanced": lambda logits, y: weights[y] * _smoothed(logits, y, recipe.smoothing),
        "focal": lambda logits, y: focal(logits, y, recipe.focal_gamma),
        "generalized": lambda logits, y: generalized(logits, y, recipe.generalized_q),
        "symmetric": lambda logits, y: symmetric(logits, y, recipe.smoothing),
    }
    return losses[recipe.loss]


def _on(device: torch.device, values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(device)
