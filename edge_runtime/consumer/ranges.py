"""A set of whole numbers kept as ranges, so that half a million missing verdicts cost one entry.

Values only. Operations cost in proportion to the number of ranges, not of numbers.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator


class Ranges:
    """Disjoint inclusive ranges `(first, last)`, ascending; neighbours are one range."""

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        self._count = 0
        for first, last in ranges:
            self.add(first, last)

    def __contains__(self, number: int) -> bool:
        at = bisect_left(self._lasts, number)
        return at < len(self._lasts) and self._firsts[at] <= number

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(tuple(zip(self._firsts, self._lasts, strict=True)))

    def __len__(self) -> int:
        """How many ranges, not how many numbers."""
        return len(self._firsts)

    def __str__(self) -> str:
        return ", ".join(str(f) if f == n else f"{f}-{n}" for f, n in self)

    @property
    def count(self) -> int:
        """How many numbers."""
        return self._count

    def within(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The parts of the ranges that lie between two numbers, both included."""
        at = bisect_left(self._lasts, first)
        until = bisect_right(self._firsts, last)
        for low, high in zip(self._firsts[at:until], self._lasts[at:until], strict=True):
            yield max(low, first), min(high, last)

    def add(self, first: int, last: int) -> None:
        """Put in all numbers from `first` to `last`, both included; none where last < first."""
        if last < first:
            return
        at = bisect_left(self._lasts, first - 1)
        until = bisect_right(self._firsts, last + 1)
        if at < until:
            first = min(first, self._firsts[at])
            last = max(last, self._lasts[until - 1])
        self._replace(at, until, [(first, last)])

    def remove(self, first: int, last: int) -> None:
        """Take out all numbers from `first` to `last`, both included."""
        if last < first:
            return
        at = bisect_left(self._lasts, first)
        until = bisect_right(self._firsts, last)
        if at >= until:
            return
        below, above = (self._firsts[at], first - 1), (last + 1, self._lasts[until - 1])
        self._replace(at, until, [rest for rest in (below, above) if rest[0] <= rest[1]])

    def _replace(self, at: int, until: int, ranges: list[tuple[int, int]]) -> None:
        before = zip(self._firsts[at:until], self._lasts[at:until], strict=True)
        self._count -= sum(last - first + 1 for first, last in before)
        self._count += sum(last - first + 1 for first, last in ranges)
        self._firsts[at:until] = [first for first, _ in ranges]
        self._lasts[at:until] = [last for _, last in ranges]
