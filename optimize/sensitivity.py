"""What each layer's quantisation costs by itself.

Owns the ranking: one layer is quantised, all others stay float, and the logits are held against the
float model's. Signal to noise orders the layers, since on few images most flip nothing; flips are
counted beside it. What is done with a ranking is decided elsewhere: `optimize.builder.restoration`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.manifest import ModelSpec
from optimize import gates

IMAGES = 32
"""Images that a ranking runs on: the order of lite0's layers no longer changes much beyond."""


class LayerCost(Contract):
    """One layer, quantised alone."""

    name: str
    sqnr_db: float
    """Signal to quantisation noise of the logits: the lower, the costlier."""
    flips: int
    """Verdicts that it changes."""
    images: int


def rank(
    layers: Sequence[str],
    reference: npt.NDArray[np.float32],
    alone: Callable[[str], npt.NDArray[np.float32]],
    spec: ModelSpec,
    advanced: Callable[[int], None] = lambda _layers: None,
) -> tuple[LayerCost, ...]:
    """The layers, the costliest first.

    `reference` has the float model's logits (N, classes) float32; `alone` answers with those on the same
    images when only the named layer is quantised.
    """
    before = gates.decisions(reference, spec)
    costs = []
    for name in layers:
        logits = alone(name)
        after = gates.decisions(logits, spec)
        costs.append(
            LayerCost(
                name=name,
                sqnr_db=gates.sqnr_db(reference, logits),
                flips=gates.count_flips(before, after, spec),
                images=len(reference),
            )
        )
        advanced(1)
    return tuple(sorted(costs, key=lambda cost: cost.sqnr_db))
