"""When a consumer asks a station for verdicts that it lacks, and when it gives them up.

Values and a monotonic time in, values out; one per station, used by one thread.

A gap is no loss yet. Live verdicts overtake the backlog, so that after an outage of the station half
a million numbers lack which it will send by itself; asking for them would send them twice. So:

- nothing is asked while verdicts still come that fill gaps, nor while the station is away;
- after `grace_s` of quiet, or `backlog_s` while the station says that at least as many verdicts wait
  for the broker as lack here, the lowest gap is asked for, one request at a time;
- a request that nobody answers is repeated ever more slowly, for as long as it takes;
- what the station's answer leaves out is given up, and so is everything that lacks when it refuses
  `_REFUSALS` times in a row.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from edge_runtime.consumer.sequence import Sequence
from edge_runtime.contracts.replay import (
    LARGEST_REPLAY,
    ReplayAnswer,
    ReplayRequest,
)
from edge_runtime.contracts.verdict import LARGEST_SEQ, Lane

_REFUSALS: Final = 3
_PAUSE_S: Final = 1.0
"""From one request to the next at least; stations ignore more than two in a second."""
_NEAR: Final = 100
"""Gaps that lie no further apart are asked for together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a consumer waits for what, seconds."""

    grace_s: float = 5.0
    """For a gap to fill by itself."""
    backlog_s: float = 60.0
    """The same, while the station's health says that no fewer verdicts wait at the station."""
    answer_s: float = 10.0
    """For an answer, and from one replayed verdict to the next."""
    longest_s: float = 300.0
    """Between two requests at most."""


@dataclass(slots=True, kw_only=True)
class _Asked:
    """The request that is under way."""

    request: ReplayRequest
    heard_at: float
    """When it was sent or something of it last arrived."""
    answer: ReplayAnswer | None = None
    arrived: int = 0


class Recovery:
    """Watches one station's `Sequence` and says what to ask for."""

    def __init__(
        self,
        sequence: Sequence,
        requester: str,
        patience: Patience,
        *,
        to_seq: int = LARGEST_SEQ,
    ) -> None:
        """`requester` tells this consumer's requests from those of others: at most 40 characters.

        No verdict beyond `to_seq` is asked for.
        """
        self._sequence = sequence
        self._requester = requester
        self._patience = patience
        self._to_seq = to_seq
        self._asked: _Asked | None = None
        self._requests = 0
        self._fruitless = 0
        """Requests in a row that were refused or not answered."""
        self._refusals = 0
        self._not_before = float("-inf")
        self._quiet_since: float | None = None
        """Since when no gap has been filled; None while there is no gap."""
        self._behind: tuple[int, float] | None = None
        """A number that the journal's head named and that is not known here, and since when."""
        self._online = True
        self._pending = 0
        self.refusal: str | None = None
        """Why the station last refused a request; None since it granted one."""

    @property
    def requests(self) -> int:
        """How many requests were made."""
        return self._requests

    @property
    def asking(self) -> ReplayRequest | None:
        """The request that is under way."""
        return None if self._asked is None else self._asked.request

    @property
    def awaiting_backlog(self) -> bool:
        """Whether all that lacks may come by itself: the station says that as many verdicts wait."""
        return 0 < self._sequence.missing.count <= self._pending

    def came(self, seq: int, lane: Lane, now: float) -> None:
        """A verdict arrived, new or not."""
        if lane is Lane.LIVE:
            return
        if self._quiet_since is not None:
            self._quiet_since = now
        asked = self._asked
        if asked is None or lane is not Lane.REPLAY:
            return
        if asked.request.from_seq <= seq <= asked.request.to_seq:
            asked.heard_at = now
            asked.arrived += 1
            self._conclude_if_complete(now)

    def restarted(self) -> None:
        """The station numbers from 1 again: whatever was asked for is gone."""
        self._asked = self._quiet_since = self._behind = None
        self._fruitless = self._refusals = 0

    def available(self, online: bool, now: float) -> None:
        """The station is there, or has gone. Nobody is asked who is not there."""
        if online and not self._online:
            self._quiet_since = None if self._quiet_since is None else now
            self._fruitless = self._refusals = 0
            self._not_before = now
        if not online:
            self._asked = None
        self._online = online

    def healthy(self, pending: int) -> None:
        """The station's health says how many verdicts wait there for the broker."""
        self._pending = pending

    def answered(self, answer: ReplayAnswer, now: float) -> None:
        """An answer came, to whomever."""
        asked = self._asked
        if asked is None or answer.request_id != asked.request.request_id:
            return
        asked.answer, asked.heard_at = answer, now
        if answer.verdicts == 0:
            self._refused(asked.request, answer.refusal or "nothing to send", now)
        else:
            self.refusal = None
            self._refusals = self._fruitless = 0
            self._conclude_if_complete(now)

    def request(self, now: float) -> ReplayRequest | None:
        """What to ask for now; None where there is nothing to ask for, or it is better to wait.

        The caller sends it; a request that is lost on the way is repeated like one without answer.
        """
        self._compare_with_head(now)
        if not any(self._wanted()):
            self._quiet_since = self._asked = None
            return None
        if self._quiet_since is None:
            self._quiet_since = now
        if self._asked is not None:
            if now - self._asked.heard_at < self._patience.answer_s:
                return None
            self._put_off(now)
        wait_s = self._patience.backlog_s if self.awaiting_backlog else self._patience.grace_s
        if not self._online or now < self._not_before or now - self._quiet_since < wait_s:
            return None
        return self._ask(now)

    def _compare_with_head(self, now: float) -> None:
        """Hold for missing what the journal has had for longer than the grace and is not known
        here."""
        behind = self._sequence.behind
        if self._behind is not None and self._sequence.last >= self._behind[0]:
            self._behind = None
        if self._behind is None:
            self._behind = None if behind is None else (behind, now)
        elif now - self._behind[1] >= self._patience.grace_s:
            if not self._sequence.missing:
                self._quiet_since = self._behind[1]
            self._sequence.expect(self._behind[0])
            self._behind = None

    def _wanted(self) -> Iterator[tuple[int, int]]:
        return self._sequence.missing.within(1, self._to_seq)

    def _ask(self, now: float) -> ReplayRequest:
        gaps = self._wanted()
        first, last = next(gaps)
        for low, high in gaps:
            if low - last > _NEAR:
                break
            last = high
        self._requests += 1
        self._not_before = now + _PAUSE_S
        request = ReplayRequest(
            from_seq=first,
            to_seq=min(last, first + LARGEST_REPLAY - 1),
            request_id=f"{self._requester}:{self._requests}",
        )
        self._asked = _Asked(request=request, heard_at=now)
        return request

    def _refused(self, request: ReplayRequest, why: str, now: float) -> None:
        self.refusal = why
        self._refusals += 1
        self._put_off(now)
        if self._refusals >= _REFUSALS:
            self._sequence.give_up(request.from_seq, self._sequence.last)

    def _conclude_if_complete(self, now: float) -> None:
        asked = self._asked
        if asked is None or asked.answer is None or asked.arrived < asked.answer.verdicts:
            return
        self._asked = None
        request = asked.request
        if asked.answer.refusal is not None:
            self._sequence.give_up(request.from_seq, request.to_seq)
        if any(self._sequence.missing.within(request.from_seq, request.to_seq)):
            self._put_off(now)
        else:
            # What was asked for has come: the rest of the gap need not wait.
            self._quiet_since = float("-inf")

    def _put_off(self, now: float) -> None:
        self._asked = None
        wait_s = self._patience.answer_s * 2.0 ** min(self._fruitless, 32)
        self._fruitless += 1
        self._not_before = now + min(self._patience.longest_s, wait_s)
