"""Progress on standard error: bars on a terminal, the notes alone elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm


class Progress:
    """The `Watch` of the commands."""

    def note(self, text: str) -> None:
        """Print one line above whatever bar is shown."""
        tqdm.write(text, file=sys.stderr)

    @contextmanager
    def stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar that vanishes when its stage is done; none at all where nobody is watching."""
        with tqdm(
            total=total, desc=title, unit="img", leave=False, disable=not sys.stderr.isatty()
        ) as bar:

            def advanced(done: int) -> None:
                bar.update(done)

            yield advanced
