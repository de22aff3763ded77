"""Which images teach and which are judged: held back once, or each in its turn.

Values in, values out. Nothing here knows of a sealed test set: what is to stay unseen is not handed in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from optimize.data.manifest import Sample
from train.data.folds import deal_folds
from train.data.split import Split

_HALVES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One teaching and what is judged after it. Indices into the samples, ascending."""

    fold: int | None
    """None where the judged images are held back once and for all."""
    train: tuple[int, ...]
    judged: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Exam:
    """Rounds in which every image of `judged` is judged exactly once."""

    rounds: tuple[Round, ...]
    judged: npt.NDArray[np.int64]
    """Indices into the samples, ascending."""
    parts: npt.NDArray[np.int64]
    """Of each judged image. Thresholds for a part are chosen on the other parts."""


def hold_out(samples: Sequence[Sample], split: Split) -> Exam:
    """Judge the validation side; the parts are its two halves, by group. Raises DatasetError."""
    judged = np.array(split.validation, np.int64)
    return Exam(
        rounds=(Round(fold=None, train=split.train, judged=split.validation),),
        judged=judged,
        parts=deal_folds([samples[index] for index in judged], _HALVES, seed=0),
    )


def cross_validation(samples: Sequence[Sample], folds: int, seed: int) -> Exam:
    """Judge every image, in that many folds; the folds are the parts. Raises DatasetError."""
    fold_of = deal_folds(samples, folds, seed)
    return Exam(
        rounds=tuple(
            Round(
                fold=fold,
                train=tuple(np.flatnonzero(fold_of != fold).tolist()),
                judged=tuple(np.flatnonzero(fold_of == fold).tolist()),
            )
            for fold in range(folds)
        ),
        judged=np.arange(len(samples)),
        parts=fold_of,
    )
