"""From an effect and a detection to a level, with hysteresis; and the sizes that levels begin at.

A statistic moves up only where a sequential test has detected a change and the effect has the size. It
moves down when the effect is well below the size. Why the sizes are what they are:
docs/drift.md. Values in, values out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from edge_runtime.contracts.drift import DriftLevel

_ORDER = (DriftLevel.NOT_MONITORED, DriftLevel.OK, DriftLevel.WARNING, DriftLevel.ALARM)
_LET_GO = 0.6
"""A level is left when the effect is below this part of its size: no flapping at the limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Effects: standard deviations of the reference for measures, Cohen's h for shares."""

    tolerated: float
    """Up to here a shift is no change: a line wanders."""
    warning: float
    """Also what the sequential test looks for."""
    alarm: float
    least_blocks: int
    """An effect is taken over so many blocks at least."""


MEASURE_SIZES = Sizes(tolerated=0.25, warning=0.5, alarm=1.0, least_blocks=2)
SHARE_SIZES = Sizes(tolerated=0.06, warning=0.16, alarm=0.24, least_blocks=16)
SCORE_SIZES = Sizes(tolerated=0.08, warning=0.2, alarm=0.35, least_blocks=16)
CERTAINTY_SIZES = Sizes(tolerated=0.12, warning=0.3, alarm=0.5, least_blocks=64)
"""Of a class that few parts are of, chance moves the mean more."""


@dataclass(slots=True)
class Standing:
    """Where one statistic stands."""

    sizes: Sizes
    level: DriftLevel = DriftLevel.OK
    rising: bool = True
    """Whether it is above the reference; means something only beside a level above ok."""
    since: datetime | None = None
    blocks: int = 0
    """Since the change began, as long as there is one."""

    def judge(self, effect: float, *, detected: bool) -> None:
        """Take the level that a signed effect deserves; `detected` in the direction of `rising`."""
        reach = effect if self.rising else -effect
        up = self._earned(reach, 1.0) if detected else DriftLevel.OK
        down = self._earned(reach, _LET_GO)
        if _ORDER.index(up) > _ORDER.index(self.level):
            self.level = up
        elif _ORDER.index(down) < _ORDER.index(self.level):
            self.level = down

    def state(self) -> tuple[float, ...]:
        """The same as numbers: level, rising, since (unix time, seconds, 0 for none), blocks."""
        since = 0.0 if self.since is None else self.since.timestamp()
        return float(_ORDER.index(self.level)), float(self.rising), since, float(self.blocks)

    def resume(self, state: Sequence[float]) -> None:
        """Stand where these numbers say; raises ValueError where they say nothing."""
        level, rising, since, blocks = state
        if level not in range(1, len(_ORDER)) or blocks < 0:
            raise ValueError(f"no standing: {level:g}, {blocks:g} blocks")
        self.level, self.rising, self.blocks = _ORDER[int(level)], bool(rising), int(blocks)
        self.since = datetime.fromtimestamp(since, UTC) if since else None

    def _earned(self, reach: float, part: float) -> DriftLevel:
        if reach >= part * self.sizes.alarm:
            return DriftLevel.ALARM
        return DriftLevel.WARNING if reach >= part * self.sizes.warning else DriftLevel.OK


def widened(sizes: Sizes, standard_error: float) -> Sizes:
    """The sizes for a reference whose mean is known so well: a small one tolerates more."""
    return replace(
        sizes,
        tolerated=sizes.tolerated + standard_error,
        warning=sizes.warning + standard_error,
        alarm=sizes.alarm + standard_error,
    )


def highest(levels: Iterable[DriftLevel]) -> DriftLevel:
    """The gravest of several levels, ok of none."""
    return max(levels, key=_ORDER.index, default=DriftLevel.OK)
