"""The micro-batcher: what goes to the engine next, and what no longer can in time.

Items with deadlines, measured inferences and a time in; batches and shed items out. No clock, no thread.

**Order.** Earliest deadline first; items without a deadline come last, in order of arrival.

**When.** A batch is due when it is full, when an item has waited `max_wait_s` for company, or when
waiting longer would cost the earliest deadline.

**How many.** The largest batch that still meets the deadline of its first item. Where more waits than
can be done, small batches for the most urgent cost more than they save; then full batches are planned,
and items that these would answer too late are shed. The plan that sheds fewer is followed.

**What is shed.** Whatever the plan followed cannot answer in time, at once and not at its deadline.
`capacity` items wait at most; drop policy: the one with the latest deadline, which is the newest where
all are given the same time. Items without a deadline are never shed, whoever brings them waits for room.
The engine never idles for all that: with nothing left that seems to be in time, the item with most time
left is tried all the same. So an engine that was slow for a while is measured anew, and nothing has to
be started again.
"""

import math
from bisect import insort
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from edge_runtime.pace import Pace

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shed(Generic[Item]):
    """An item that is not inspected, and why."""

    item: Item
    reason: str
    """What was too much, in a few words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken(Generic[Item]):
    """What is to be done now."""

    batch: tuple[Item, ...]
    """For the engine, earliest deadline first."""
    shed: tuple[Shed[Item], ...]
    """To be answered without it."""


@dataclass(frozen=True, slots=True, order=True)
class _Waiting(Generic[Item]):
    deadline: float
    number: int
    """Of its arrival, which is the order among equal deadlines."""
    since: float = field(compare=False)
    item: Item = field(compare=False)


class MicroBatcher(Generic[Item]):
    """Collects items into batches of at most `max_batch`; times are monotonic seconds."""

    def __init__(
        self,
        max_batch: int,
        max_wait_s: float,
        *,
        capacity: int | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`capacity` is how many items may wait, by default two batches."""
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {max_batch}")
        if max_wait_s < 0:
            raise ValueError(f"max_wait_s must not be negative, got {max_wait_s}")
        capacity = 2 * max_batch if capacity is None else capacity
        if capacity < max_batch:
            raise ValueError(f"capacity must be at least a batch of {max_batch}, got {capacity}")
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._capacity = capacity
        self._pace = Pace() if pace is None else pace
        self._waiting: list[_Waiting[Item]] = []
        self._number = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """No room for an item without a deadline; one with a deadline displaces another or is shed."""
        return len(self._waiting) >= self._capacity

    def offer(self, item: Item, now: float, deadline: float = math.inf) -> Shed[Item] | None:
        """Take in an item; returns what is shed for it, the item itself perhaps.

        Raises OverflowError for an item without a deadline that finds no room.
        """
        self._number += 1
        coming = _Waiting(deadline, self._number, now, item)
        displaced = None
        if self.full:
            if deadline == math.inf:
                raise OverflowError(f"{len(self._waiting)} items wait: take some first")
            urgent = [each for each in self._waiting if each.deadline < math.inf]
            latest = max([*urgent, coming])
            displaced = Shed(item=latest.item, reason=f"{self._capacity} wait already")
            if latest is coming:
                return displaced
            self._waiting.remove(latest)
        insort(self._waiting, coming)
        return displaced

    def due(self, now: float) -> bool:
        """Whether a batch should be taken at monotonic time `now`."""
        wait_s = self.wait_s(now)
        return wait_s is not None and wait_s <= 0

    def wait_s(self, now: float) -> float | None:
        """Seconds until a batch is due, 0 when it is; None while nothing waits."""
        if not self._waiting:
            return None
        if len(self._waiting) >= self._max_batch:
            return 0.0
        due_at = min(
            min(each.since for each in self._waiting) + self._max_wait_s,
            self._waiting[0].deadline - self._pace.expected_s(len(self._waiting)),
        )
        return max(0.0, due_at - now)

    def take(self, now: float) -> Taken[Item]:
        """The next batch, and what is shed for it and after it; both leave the batcher."""
        prompt, full = self._plan_prompt(now), self._plan_full(now)
        plan = prompt if len(prompt.lost) <= len(full.lost) else full
        lost, batch = list(plan.lost), plan.batch
        if not batch and lost and lost[-1].deadline > now:
            batch = (lost.pop(),)
        leaving = {each.number for each in (*batch, *lost)}
        self._waiting = [each for each in self._waiting if each.number not in leaving]
        return Taken(
            batch=tuple(each.item for each in batch),
            shed=tuple(Shed(item=each.item, reason=self._too_late(each, now)) for each in lost),
        )

    def withdraw(self, items: Collection[Item]) -> None:
        """These need not be done any more, those of them that still wait."""
        self._waiting = [each for each in self._waiting if each.item not in items]

    def learn(self, frames: int, seconds: float) -> None:
        """An inference of so many frames, one at least, took so long."""
        self._pace.learn(frames, seconds)

    # --- the two plans -----------------------------------------------------------------------------

    def _plan_prompt(self, now: float) -> "_Plan[Item]":
        """Each batch as large as the deadline of its first item allows."""
        first: tuple[_Waiting[Item], ...] = ()
        batch: list[_Waiting[Item]] = []
        lost: list[_Waiting[Item]] = []
        begins = now
        for each in self._waiting:
            if batch and len(batch) < self._max_batch:
                ends = begins + self._pace.expected_s(len(batch) + 1)
                if ends <= batch[0].deadline:
                    batch.append(each)
                    continue
            if batch:
                first = first or tuple(batch)
                begins += self._pace.expected_s(len(batch))
                batch = []
            if begins + self._pace.expected_s(1) <= each.deadline:
                batch = [each]
            else:
                lost.append(each)
        return _Plan(batch=first or tuple(batch), lost=lost)

    def _plan_full(self, now: float) -> "_Plan[Item]":
        """Each batch as large as it can be; what is then too late is lost."""
        first: tuple[_Waiting[Item], ...] = ()
        lost: list[_Waiting[Item]] = []
        remaining: Sequence[_Waiting[Item]] = self._waiting
        begins = now
        while remaining:
            ends = begins + self._pace.expected_s(min(len(remaining), self._max_batch))
            late = sum(each.deadline < ends for each in remaining)
            lost += remaining[:late]
            batch, remaining = (
                remaining[late : late + self._max_batch],
                remaining[late + self._max_batch :],
            )
            first = first or tuple(batch)
            begins += self._pace.expected_s(len(batch))
        return _Plan(batch=first, lost=lost)

    def _too_late(self, each: "_Waiting[Item]", now: float) -> str:
        left_ms = max(0.0, each.deadline - now) * 1000
        return f"waited {(now - each.since) * 1000:.0f} ms, {left_ms:.0f} ms left are too few"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan(Generic[Item]):
    batch: tuple[_Waiting[Item], ...]
    """The first of it; the others are only reckoned with."""
    lost: Sequence[_Waiting[Item]]
