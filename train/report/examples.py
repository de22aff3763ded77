"""Frames of each class with what the network answered, and where it found that.

Owns which frames are shown: right ones by lot, so that none is chosen for its looks, and the wrong ones
that the network was surest of, which are those to learn from.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from edge_runtime import policy
from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import ModelSpec
from edge_runtime.contracts.verdict import Outcome
from edge_runtime.explanation.heatmaps import overlay
from train.data.stream import ImageStore
from train.evidence.heatmaps import grad_cam


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One frame and its answer."""

    path: str
    truth: str
    answer: str
    """The class that the verdict names."""
    outcome: Outcome
    probability: float
    """Of the answer."""
    frame: Pixels
    heat: Pixels
    """The frame with what speaks for the answer laid over it."""

    @property
    def right(self) -> bool:
        """Whether the verdict names the true class."""
        return self.answer == self.truth


def choose(
    logits: npt.NDArray[np.float32],
    truth: npt.NDArray[np.int64],
    model: ModelSpec,
    *,
    right: int,
    wrong: int,
    seed: int = 0,
) -> dict[str, list[int]]:
    """Positions of the frames to show for each true class, right ones first; no more than there are."""
    shares = policy.probabilities(logits, model.decision.temperature)
    answers = _answers(shares, model)
    random = np.random.default_rng(seed)
    chosen: dict[str, list[int]] = {}
    for position, label in enumerate(model.labels):
        hits = np.flatnonzero((truth == position) & (answers == position))
        misses = np.flatnonzero((truth == position) & (answers != position))
        surest = misses[np.argsort(-shares[misses, answers[misses]], kind="stable")]
        chosen[label] = [*random.permutation(hits)[:right].tolist(), *surest[:wrong].tolist()]
    return chosen


def show(
    network: nn.Module,
    images: ImageStore,
    logits: npt.NDArray[np.float32],
    model: ModelSpec,
    positions: Sequence[int],
) -> list[Example]:
    """The frames at these positions with their maps; raises WeightsError as `grad_cam` does."""
    if not positions:
        return []
    shares = policy.probabilities(logits[list(positions)], model.decision.temperature)
    answers = _answers(shares, model)
    frames = np.stack([images[position] for position in positions])
    maps = grad_cam(network, frames, answers, images.size)
    samples = images.dataset.samples
    return [
        Example(
            path=samples[position].path,
            truth=samples[position].label,
            answer=model.labels[answer],
            outcome=decision.outcome,
            probability=float(row[answer]),
            frame=frame,
            heat=overlay(frame, heat),
        )
        for position, answer, row, decision, frame, heat in zip(
            positions,
            answers.tolist(),
            shares,
            policy.decide(shares, model),
            frames,
            maps,
            strict=True,
        )
    ]


def _answers(shares: npt.NDArray[np.float32], model: ModelSpec) -> npt.NDArray[np.int64]:
    """The class that the verdict on each part names."""
    named = [each.label for each in policy.decide(shares, model)]
    return np.array([model.labels.index(label or "") for label in named], np.int64)
