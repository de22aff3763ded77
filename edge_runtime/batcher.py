"""The micro-batcher: decides when a batch is complete. Values and a time in, values out.

A batch closes when it is full or when its first item has waited `max_wait_s`. Holds at most one batch;
whoever feeds it takes the batch before offering more, so nothing can pile up here.
"""

from typing import Generic, TypeVar

Item = TypeVar("Item")


class MicroBatcher(Generic[Item]):
    """Collects items into batches of at most `max_batch`, none older than `max_wait_s` seconds."""

    def __init__(self, max_batch: int, max_wait_s: float) -> None:
        if max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {max_batch}")
        if max_wait_s < 0:
            raise ValueError(f"max_wait_s must not be negative, got {max_wait_s}")
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._items: list[Item] = []
        self._due_at = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: Item, now: float) -> None:
        """Add an item at monotonic time `now`; raises OverflowError when a complete batch waits."""
        if len(self._items) >= self._max_batch:
            raise OverflowError("a complete batch waits: take it first")
        if not self._items:
            self._due_at = now + self._max_wait_s
        self._items.append(item)

    def due(self, now: float) -> bool:
        """Whether the batch should be taken at monotonic time `now`."""
        return bool(self._items) and (len(self._items) >= self._max_batch or now >= self._due_at)

    def wait_s(self, now: float) -> float | None:
        """Seconds until the batch is due, 0 when it is; None while it is empty."""
        if not self._items:
            return None
        return 0.0 if self.due(now) else self._due_at - now

    def take(self) -> tuple[Item, ...]:
        """The batch in order of arrival; leaves the batcher empty."""
        batch, self._items = tuple(self._items), []
        return batch
