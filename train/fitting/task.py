"""What a run is to learn."""

from dataclasses import dataclass

from train.data.augment import Augmentation
from train.data.split import Split
from train.data.stream import ImageStore
from train.fitting.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Images with their labels, which of them teach, and how."""

    images: ImageStore
    split: Split
    ok_labels: tuple[str, ...]
    recipe: Recipe
    augmentation: Augmentation | None
    target: ImageStore | None = None
    """Unlabelled images that batch norm is estimated on; None takes those that teach."""
