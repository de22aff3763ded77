"""Who hears how long work goes: the terminal, a test, or nobody."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol


class Watch(Protocol):
    """Who hears how a build goes."""

    def note(self, text: str) -> None:
        """One line worth reading: a warning, a choice and its reason."""
        ...

    def stage(self, title: str, total: int) -> AbstractContextManager[Callable[[int], None]]:
        """A stage of `total` steps; the function it gives is told of each few done."""
        ...
