"""What a consumer knows of one station's numbering: which verdicts came, which came twice, which lack.

Values in, values out; one per station, used by one thread. It decides nothing about asking for what
lacks: see `edge_runtime.consumer.recovery`.

**Whose number is it?** A journal that was moved away begins again at 1, and its numbers must not pass
for repetitions of the old ones. `boot_id` tells them apart: within one journal each run of the daemon
has an unbroken block of numbers, live verdicts come from the newest run, and the journal's head does not
go back. What contradicts this belongs to another journal.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from edge_runtime.consumer.ranges import Ranges
from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.verdict import Lane

_FINGERPRINTS: Final = 4096
"""So many of the last verdicts are remembered by their hash; an older one that comes again is known
by its number and run alone."""
_RUNS: Final = 256
"""Runs of the daemon that are remembered at most, in this journal and in earlier ones each."""

Block = tuple[int, int]


class Standing(StrEnum):
    """What a received verdict is to this consumer."""

    NEW = "new"
    RESTARTED = "restarted"
    """New, and the first that shows that the station numbers from 1 again."""
    DUPLICATE = "duplicate"
    """Came before, the same to the byte as far as that is remembered."""
    CONFLICT = "conflict"
    """Its number belongs to another verdict: two journals, or somebody forges."""
    UNASKED = "unasked"
    """A replay for somebody else, from before the point where this consumer began."""


class SequenceState(Contract):
    """A `Sequence` as it is written down; ranges are `[first, last]`, both included."""

    first: Annotated[int, Field(ge=1)] | None
    last: Annotated[int, Field(ge=0)]
    missing: tuple[Block, ...]
    lost: tuple[Block, ...]
    head: Annotated[int, Field(ge=0)]
    runs: tuple[tuple[str, int, int], ...]
    """`boot_id`, its lowest and its highest number."""
    earlier_runs: tuple[str, ...]
    earlier_lost: Annotated[int, Field(ge=0)]


class Sequence:
    """The numbers of one station.

    `first` is the first verdict wanted; by default the numbering is followed from the first one that
    comes.
    """

    def __init__(self, first: int | None = None, *, state: SequenceState | None = None) -> None:
        self.received = 0
        """Verdicts new to this consumer since it was made."""
        self.duplicates = 0
        self.conflicts = 0
        self.unasked = 0
        self.restarts = 0
        self._first = first
        self._last = 0 if first is None else first - 1
        self._missing = Ranges()
        self._lost = Ranges()
        self._head = 0
        """Last number of the furthest head that was published."""
        self._head_went_back = False
        self._runs: dict[str, Block] = {}
        self._earlier_runs: list[str] = []
        self._earlier_lost = 0
        self._fingerprints: dict[int, bytes] = {}
        if state is not None:
            self._restore(state)

    @property
    def last(self) -> int:
        """The highest number known of, received or missing; 0 before the first."""
        return self._last

    @property
    def missing(self) -> Ranges:
        """Numbers that were not received and not given up."""
        return self._missing

    @property
    def lost(self) -> int:
        """How many verdicts were given up; one that comes after all no longer counts."""
        return self._earlier_lost + self._lost.count

    def take(self, *, seq: int, boot_id: str, sha256: bytes, lane: Lane) -> Standing:
        """Judge a verdict that has arrived; `sha256` is that of the verdict as committed."""
        standing = self._judge(seq, boot_id, sha256, lane)
        match standing:
            case Standing.DUPLICATE:
                self.duplicates += 1
                return standing
            case Standing.CONFLICT:
                self.conflicts += 1
                return standing
            case Standing.UNASKED:
                self.unasked += 1
                return standing
            case Standing.RESTARTED:
                self._restart()
        self._place(seq)
        self._missing.remove(seq, seq)
        self._lost.remove(seq, seq)
        self._remember(seq, boot_id, sha256)
        self.received += 1
        return standing

    def take_head(self, first_seq: int, last_seq: int) -> None:
        """Heed the journal's head as published: what it no longer holds cannot be had."""
        # A head that goes back is another journal's, or an old message that the broker repeats after
        # a lost connection: the next verdict tells which.
        self._head_went_back = last_seq < self._head
        if not self._head_went_back:
            self._head = last_seq
            self.give_up(1, first_seq - 1)

    @property
    def behind(self) -> int | None:
        """The last number of the journal, where the station has more than is known here."""
        if self._first is None or self._head_went_back or self._head <= self._last:
            return None
        return self._head

    def expect(self, last: int) -> None:
        """Hold everything up to `last` for missing that has not come."""
        self._place(last)

    def give_up(self, first: int, last: int) -> None:
        """Count what is missing between two numbers, both included, as lost."""
        for low, high in tuple(self._missing.within(first, last)):
            self._missing.remove(low, high)
            self._lost.add(low, high)

    def state(self) -> SequenceState:
        """What must be kept for a consumer that starts again; the counters begin anew."""
        return SequenceState(
            first=self._first,
            last=self._last,
            missing=tuple(self._missing),
            lost=tuple(self._lost),
            head=self._head,
            runs=tuple((boot_id, low, high) for boot_id, (low, high) in self._runs.items()),
            earlier_runs=tuple(self._earlier_runs),
            earlier_lost=self._earlier_lost,
        )

    # --- whose number it is ------------------------------------------------------------------------

    def _judge(self, seq: int, boot_id: str, sha256: bytes, lane: Lane) -> Standing:
        came = self._came(seq)
        if came and self._same(seq, boot_id, sha256):
            return Standing.DUPLICATE
        if boot_id in self._earlier_runs:
            return Standing.CONFLICT
        misplaced = came or self._amid_others(seq, boot_id)
        if boot_id in self._runs:
            if misplaced:
                return Standing.CONFLICT
        elif misplaced or self._head_went_back or (lane is Lane.LIVE and seq < self._newest()):
            return Standing.RESTARTED
        if lane is Lane.REPLAY and (self._first is None or seq < self._first):
            return Standing.UNASKED
        return Standing.NEW

    def _came(self, seq: int) -> bool:
        return (
            self._first is not None
            and self._first <= seq <= self._last
            and seq not in self._missing
            and seq not in self._lost
        )

    def _same(self, seq: int, boot_id: str, sha256: bytes) -> bool:
        known = self._fingerprints.get(seq)
        if known is not None:
            return known == sha256
        owners = {run for run, (low, high) in self._runs.items() if low <= seq <= high}
        return not owners or boot_id in owners

    def _newest(self) -> int:
        return max((high for _, high in self._runs.values()), default=0)

    def _amid_others(self, seq: int, boot_id: str) -> bool:
        """Whether a number of this run would lie within another run's block, or around it."""
        low, high = self._runs.get(boot_id, (seq, seq))
        low, high = min(low, seq), max(high, seq)
        return any(
            low <= other_high and other_low <= high
            for run, (other_low, other_high) in self._runs.items()
            if run != boot_id
        )

    def _remember(self, seq: int, boot_id: str, sha256: bytes) -> None:
        low, high = self._runs.get(boot_id, (seq, seq))
        self._runs[boot_id] = (min(low, seq), max(high, seq))
        if len(self._runs) > _RUNS:
            del self._runs[min(self._runs, key=lambda run: self._runs[run])]
        self._fingerprints[seq] = sha256
        if len(self._fingerprints) > _FINGERPRINTS:
            del self._fingerprints[next(iter(self._fingerprints))]

    def _restart(self) -> None:
        """Everything known so far belongs to a journal that is gone, and so does what lacked."""
        self.restarts += 1
        self._earlier_lost += self._missing.count + self._lost.count
        self._earlier_runs = [*self._earlier_runs, *self._runs][-_RUNS:]
        # Whoever followed the old numbering wants the new one whole.
        self._first = 1
        self._last = self._head = 0
        self._head_went_back = False
        self._missing, self._lost = Ranges(), Ranges()
        self._runs.clear()
        self._fingerprints.clear()

    def _place(self, seq: int) -> None:
        """Widen what is known to `seq`; it and what lies between is missing until it is taken."""
        if self._first is None:
            self._first = seq
            self._last = seq - 1
        if seq > self._last:
            self._missing.add(self._last + 1, seq)
            self._last = seq
        elif seq < self._first:
            # The station's backlog reaches further back than the first verdict that was heard.
            self._missing.add(seq, self._first - 1)
            self._first = seq

    def _restore(self, state: SequenceState) -> None:
        self._first, self._last, self._head = state.first, state.last, state.head
        self._missing, self._lost = Ranges(state.missing), Ranges(state.lost)
        self._runs = {boot_id: (low, high) for boot_id, low, high in state.runs}
        self._earlier_runs = list(state.earlier_runs)
        self._earlier_lost = state.earlier_lost
