"""The number of the next connection attempt, kept in a file across restarts.

Sparkplug pairs a death with the birth of the same `bdSeq`. A daemon that was killed and began at 0
again could be declared dead by its predecessor's will, which the broker sends when it notices.
"""

import logging
from pathlib import Path
from typing import Final

_LOG = logging.getLogger(__name__)
_COUNT: Final = 256


class BirthDeathSequence:
    """Counts 0 to 255 and begins anew, where the file left off. A file that cannot be kept is logged."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: int | None = None

    def next(self) -> int:
        """The number for a connection attempt, written down before it is made."""
        last = self._read() if self._last is None else self._last
        self._last = 0 if last is None else (last + 1) % _COUNT
        try:
            self._path.write_text(f"{self._last}\n", encoding="ascii")
        except OSError as exc:
            # A mirror is no reason to stop: at worst a host shows the station as dead for a moment.
            _LOG.warning("%s: cannot keep Sparkplug's bdSeq: %s", self._path, exc.strerror)
        return self._last

    def _read(self) -> int | None:
        try:
            text = self._path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as exc:
            _LOG.warning("%s: cannot read Sparkplug's bdSeq, counting from 0: %s", self._path, exc)
            return None
        if not (text.isascii() and text.isdigit() and int(text) < _COUNT):
            _LOG.warning("%s: %.20r is no bdSeq, counting from 0", self._path, text)
            return None
        return int(text)
