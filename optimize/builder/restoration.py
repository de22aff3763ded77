"""How many of the costliest layers have to stay float.

Owns the search alone: which counts are tried, and when to give up. What an attempt is, who makes and
judges it, is handed in.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar


class Attempt(Protocol):
    """A variant with some layers left float, judged."""

    @property
    def passed(self) -> bool:
        """Whether its verdicts pass the gate."""
        ...

    @property
    def worthwhile(self) -> bool:
        """Whether it is still faster than the float model."""
        ...


A = TypeVar("A", bound=Attempt)


def search(layers: int, attempt: Callable[[int], A]) -> tuple[A | None, tuple[A, ...]]:
    """The attempt with the fewest layers restored that passes and is worthwhile, and all that were made.

    Counts are doubled until one passes, the speed-up is gone or no layer is left to restore, then halved
    into the last gap: some log2(layers) attempts each way. None where no attempt will do.
    """
    made: dict[int, A] = {}
    fails, count = 0, 1
    while count <= layers:
        made[count] = attempt(count)
        if made[count].passed or not made[count].worthwhile:
            break
        fails, count = count, min(2 * count, layers) if count < layers else layers + 1
    if count > layers or not made[count].passed:
        return None, tuple(made.values())
    passes = count
    while passes - fails > 1:
        middle = (fails + passes) // 2
        made[middle] = attempt(middle)
        fails, passes = (fails, middle) if made[middle].passed else (middle, passes)
    best = made[passes]
    return (best if best.worthwhile else None), tuple(made.values())
