"""Where all statistics of a monitor stand, block by block: evidence in, levels moved.

One rule for every monitor: a statistic is looked at while its test has detected a change or its level
is not ok, and evidence is forgotten once a level is let go of. Effects are the monitor's business.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.drift.levels import Standing
from edge_runtime.drift.sequential import Evidence

Floats = npt.NDArray[np.float64]


def judge_block(
    standings: Sequence[Standing],
    evidence: Evidence,
    onsets: Floats,
    began: datetime,
    effect: Callable[[int], float],
) -> None:
    """Take the levels that a block deserves whose steps were added to `evidence`.

    `onsets` (2, statistics) is when the change of each side began, unix time; it is brought up to date.
    `effect` of a statistic is asked for once its blocks are counted.
    """
    onsets[evidence.steps == 1] = began.timestamp()
    detected = evidence.detected()
    for index, standing in enumerate(standings):
        before = standing.level
        if before is DriftLevel.OK:
            if not detected[:, index].any():
                continue
            side = int(evidence.log[:, index].argmax())
            standing.rising = side == 0
            standing.since = datetime.fromtimestamp(onsets[side, index], UTC)
            standing.blocks = int(evidence.steps[side, index])
        else:
            side = 0 if standing.rising else 1
            standing.blocks += 1
        standing.judge(effect(index), detected=bool(detected[side, index]))
        if standing.level is DriftLevel.OK is not before:
            evidence.forget(index)


def gravest_first(standings: Sequence[Standing], effect: Callable[[int], float]) -> list[int]:
    """The statistics that have moved: alarms first, then the largest effect for its size."""
    return sorted(
        (index for index, standing in enumerate(standings) if standing.level is not DriftLevel.OK),
        key=lambda index: (
            standings[index].level is not DriftLevel.ALARM,
            -abs(effect(index)) / standings[index].sizes.alarm,
        ),
    )
