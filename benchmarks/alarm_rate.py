"""What the benchmarks of drift's power share: their streams, and how a contender is set, by its false
alarms on streams without drift.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

QUIET, MOST = 64, 160
"""Blocks before a change, and after it until a detector is given up."""
KS_BLOCKS = 16
KS_GRID = 10.0 ** -np.arange(3, 61, 3)


def episodes(hits: Sequence[int]) -> int:
    """Alarms, at most one in 64 blocks: one that stays on is many, and not a single long one."""
    counted: list[int] = []
    for hit in hits:
        if not counted or hit - counted[-1] >= 64:
            counted.append(hit)
    return len(counted)


def tuned(
    name: str, grid: npt.NDArray[np.floating[Any]], counts: Callable[[float], float]
) -> dict[str, object]:
    """The most sensitive threshold with at most one false alarm in 30 days."""
    rate = float("nan")
    for threshold in grid:
        rate = counts(float(threshold))
        if rate <= 1:
            break
    print(f"{name}: threshold {threshold:g}, {rate:.2f} false alarms in 30 days", flush=True)
    return {"threshold": float(threshold), "false_alarms_per_30_days": rate, "quiet": rate <= 1}
