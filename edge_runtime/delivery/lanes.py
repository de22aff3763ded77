"""Which verdict goes to the broker next: the live one first, then, in measure, what was left behind.

Reads the journal; knows no publisher, no thread and no clock of its own. Used by one thread.

At each connection the verdicts that were not sent on an earlier one become the *backlog*; those that
are committed from then on are *live*. So after an outage of days the verdict of the part that leaves
the station now is not the last of half a million.
"""

from collections import deque
from collections.abc import Collection

from edge_runtime.contracts.verdict import LARGEST_SEQ, Lane
from edge_runtime.journal.journal import Entry, Journal

_READ_AHEAD = 256


class LaneReader:
    """Reads the unanswered verdicts of a journal in two lanes, each in order."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._in_flight: frozenset[int] = frozenset()
        self._live = _Cursor(after=0, up_to=LARGEST_SEQ)
        self._backlog = _Cursor(after=0, up_to=0)

    def connected(self, last_seq: int, in_flight: Collection[int]) -> None:
        """A connection begins: all that is unanswered up to `last_seq` is backlog from now on.

        `in_flight` are those that the publisher holds since an earlier connection; it sends them again
        by itself.
        """
        self._in_flight = frozenset(in_flight)
        self._backlog = _Cursor(after=self._backlog.taken, up_to=last_seq)
        self._live = _Cursor(after=last_seq, up_to=LARGEST_SEQ)

    def peek(self, lane: Lane) -> Entry | None:
        """The next verdict of a lane, or None where there is none now; raises StateError."""
        cursor = self._live if lane is Lane.LIVE else self._backlog
        while not cursor.ahead and cursor.read < cursor.up_to:
            found = self._journal.unanswered(cursor.read, _READ_AHEAD, up_to=cursor.up_to)
            if not found:
                break
            cursor.read = found[-1].seq
            cursor.ahead.extend(entry for entry in found if entry.seq not in self._in_flight)
        return cursor.ahead[0] if cursor.ahead else None

    def take(self, lane: Lane) -> None:
        """The verdict that `peek` gave is in the publisher's hands."""
        cursor = self._live if lane is Lane.LIVE else self._backlog
        cursor.taken = cursor.ahead.popleft().seq


class _Cursor:
    """A place in the journal and what was read from there."""

    def __init__(self, *, after: int, up_to: int) -> None:
        self.read = self.taken = after
        self.up_to = up_to
        self.ahead: deque[Entry] = deque()
