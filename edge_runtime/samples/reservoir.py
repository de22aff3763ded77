"""Which samples stay, where there is room for so many bytes: fair between reasons, and within each.

Owns the order in which samples make room. Room is shared twice: what is to go is taken from the reason
that holds the most bytes, and there from the kind that does, so a reason takes what the others leave and
no more than its share when they need it. Within a kind the samples with the lowest rank stay: each has
drawn a lot, and age raises its rank, so that what stays is a fair choice of parts in which recent ones
are more frequent (weighted reservoir sampling with exponential decay). For the random samples the
highest rank that was let in is remembered, from which their probability follows.

Values in, values out; memory grows with the samples kept, which `MOST` bounds, not with those offered.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from edge_runtime.contracts.sample import Claim, Reason

HALF_LIFE_S = 7 * 86_400.0
"""A part of a week ago has half the chance to stay that one of today has."""
MOST = 10_000
"""Samples, whatever their size: more than people will label, and few enough to remember."""
FEW = 20
"""Samples of one code of rejection: a few tell what is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the reservoir knows of a sample."""

    name: str
    bytes: int
    """That it takes up on the disk."""
    rank: float
    """The lower, the longer it stays: `RandomShare.rank`."""
    claims: tuple[Claim, ...]
    """Not empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What making room for a sample comes to."""

    claims: tuple[Claim, ...]
    """With which the sample is kept; empty where it is not."""
    gone: tuple[str, ...] = ()
    """Samples that no reason is left to keep, the one that was offered perhaps among them."""
    lessened: Mapping[str, tuple[Claim, ...]]
    """The claims left of other samples that lost some."""


class Reservoir:
    """Decides what a folder of `quota` bytes holds; used by one thread."""

    def __init__(self, quota: int, *, most: int = MOST, limit: float | None = None) -> None:
        """`limit` is what `RandomShare.limit` was before; None where no random sample had to go."""
        self.bytes = 0
        """Taken up by all samples."""
        self.limit = limit
        """See `RandomShare.limit`."""
        self._quota = quota
        self._most = most
        self._entries: dict[str, Entry] = {}
        self._holders: dict[Claim, set[str]] = defaultdict(set)
        self._held: dict[Claim, int] = defaultdict(int)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def claims(self, name: str) -> tuple[Claim, ...]:
        """For what a sample is kept; raises KeyError."""
        return self._entries[name].claims

    def wants(self, rank: float, claims: Iterable[Claim]) -> tuple[Claim, ...]:
        """The claims with which a sample of that rank has a chance; before it is worth any work.

        A random sample beyond the limit has none, or its probability would not be what is recorded.
        """
        return tuple(
            claim
            for claim in claims
            if claim.reason is not Reason.RANDOM or self.limit is None or rank < self.limit
        )

    def offer(self, entry: Entry) -> Room:
        """Take a sample in, if there is room or something else makes it.

        What is gone is forgotten here and must leave the disk before the sample comes onto it; what was
        lessened has to be written anew.
        """
        self._add(entry)
        return self._make_room(entry)

    def claim(self, name: str, claim: Claim) -> Room:
        """One more reason to keep a sample that is there; raises KeyError."""
        entry = self._entries[name]
        if claim in entry.claims:
            return Room(claims=entry.claims, lessened={})
        self.forget(name)
        entry = replace(entry, claims=(*entry.claims, claim))
        self._add(entry)
        return self._make_room(entry)

    def forget(self, name: str) -> None:
        """A sample is no longer there."""
        entry = self._entries.pop(name, None)
        if entry is None:
            return
        self.bytes -= entry.bytes
        for claim in entry.claims:
            self._drop(entry, claim)

    def held(self) -> Mapping[Reason, int]:
        """Bytes that each reason holds; a sample with several counts for each of them."""
        found: dict[Reason, int] = defaultdict(int)
        for claim, size in self._held.items():
            found[claim.reason] += size
        return found

    def _add(self, entry: Entry) -> None:
        self._entries[entry.name] = entry
        self.bytes += entry.bytes
        for claim in entry.claims:
            self._holders[claim].add(entry.name)
            self._held[claim] += entry.bytes

    def _make_room(self, entry: Entry) -> Room:
        gone: list[str] = []
        lessened: dict[str, tuple[Claim, ...]] = {}
        for claim in entry.claims:
            if claim.reason is Reason.REJECTED and len(self._holders[claim]) > FEW:
                self._lessen(claim, gone, lessened)
        while self.bytes > self._quota or len(self._entries) > self._most:
            self._lessen(self._fullest(), gone, lessened)
        kept = self._entries.get(entry.name)
        return Room(
            claims=() if kept is None else kept.claims,
            gone=tuple(gone),
            lessened={
                name: claims
                for name, claims in lessened.items()
                if name not in gone and name != entry.name
            },
        )

    def _fullest(self) -> Claim:
        held = self.held()
        reason = max(held, key=lambda reason: held[reason])
        kinds = (claim for claim in self._held if claim.reason is reason)
        return max(kinds, key=lambda claim: self._held[claim])

    def _lessen(
        self, claim: Claim, gone: list[str], lessened: dict[str, tuple[Claim, ...]]
    ) -> None:
        """Take a reason from the sample that bears it with the highest rank."""
        last = max(self._holders[claim], key=lambda name: self._entries[name].rank)
        entry = self._entries[last]
        left = tuple(other for other in entry.claims if other != claim)
        if claim.reason is Reason.RANDOM:
            self.limit = min(entry.rank, math.inf if self.limit is None else self.limit)
        self.forget(last)
        if left:
            self._add(replace(entry, claims=left))
            lessened[last] = left
        else:
            gone.append(last)

    def _drop(self, entry: Entry, claim: Claim) -> None:
        self._holders[claim].discard(entry.name)
        self._held[claim] -= entry.bytes
        if not self._holders[claim]:
            del self._holders[claim], self._held[claim]
