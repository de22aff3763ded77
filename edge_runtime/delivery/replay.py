"""Decides what becomes of replay requests: the one way in which a message can make a station act.

Values in, values out. Whatever stands in a payload that anybody may have sent: it is never larger
than `LARGEST_PAYLOAD` when it is parsed, it is answered in one line where it cannot be granted, and
beyond a few per second it is counted and not even answered, so that a flood of requests becomes no
flood of answers.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from edge_runtime.contracts.replay import ReplayAnswer, ReplayRequest
from edge_runtime.journal.chain import Head
from edge_runtime.journal.journal import Entry, Journal
from edge_runtime.mes.token_bucket import TokenBucket

LARGEST_PAYLOAD: Final = 1024
"""Bytes of a request at most."""
_REQUESTS_PER_S: Final = 2.0
_BURST: Final = 20
_READ_AHEAD: Final = 256
_QUEUED: Final = 64
"""Granted requests that wait for their turn at most."""


class ReplayDesk:
    """Takes requests and keeps the granted ranges in order; used under its owner's lock."""

    def __init__(self, *, enabled: bool) -> None:
        self._enabled = enabled
        self._granted: deque[range] = deque()
        self._rate = TokenBucket(rate=_REQUESTS_PER_S, burst=_BURST)
        self.ignored = 0
        """Requests that came too fast to be answered."""

    def ask(self, payload: bytes, head: Head, now: float) -> ReplayAnswer | None:
        """Grant or refuse a request at monotonic time `now`; None where it is ignored."""
        if not self._rate.take(now):
            self.ignored += 1
            return None
        if len(payload) > LARGEST_PAYLOAD:
            return _refused(f"{len(payload)} bytes: a request has at most {LARGEST_PAYLOAD}")
        try:
            request = ReplayRequest.model_validate_json(payload)
        except ValidationError as exc:
            error = exc.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, error["loc"]))
            return _refused(f"not a replay request: {where + ': ' if where else ''}{error['msg']}")
        if not self._enabled:
            return _refused("replay is not enabled at this station (mqtt_replay)", request)
        if len(self._granted) >= _QUEUED:
            return _refused(f"busy: {_QUEUED} requests wait, try again later", request)
        return self._grant(request, head)

    def next(self) -> range | None:
        """The next granted range of numbers, in order of the requests; None where there is none."""
        return self._granted.popleft() if self._granted else None

    def _grant(self, request: ReplayRequest, head: Head) -> ReplayAnswer:
        kept = range(max(request.from_seq, head.first_seq), min(request.to_seq, head.last_seq) + 1)
        if kept:
            self._granted.append(kept)
        missing = request.to_seq - request.from_seq + 1 - len(kept)
        return ReplayAnswer(
            request_id=request.request_id,
            from_seq=request.from_seq,
            to_seq=request.to_seq,
            verdicts=len(kept),
            refusal=f"the journal holds {head.first_seq} to {head.last_seq}" if missing else None,
        )


class ReplayReader:
    """Reads the verdicts of granted ranges from the journal, in order; used by one thread."""

    def __init__(self, journal: Journal, granted: Callable[[], range | None]) -> None:
        self._journal = journal
        self._granted = granted
        self._range = range(0)
        self._ahead: deque[Entry] = deque()

    def peek(self) -> Entry | None:
        """The next verdict to be sent again, or None; raises StateError."""
        while not self._ahead:
            if not self._range:
                self._range = self._granted() or range(0)
            if not self._range:
                return None
            found = self._journal.stored(self._range[0], self._range[-1], _READ_AHEAD)
            self._ahead.extend(found)
            # What was pruned since it was granted is passed over.
            self._range = range(found[-1].seq + 1, self._range.stop) if found else range(0)
        return self._ahead[0]

    def take(self) -> None:
        """The verdict that `peek` gave is in the publisher's hands."""
        self._ahead.popleft()


def _refused(why: str, request: ReplayRequest | None = None) -> ReplayAnswer:
    return ReplayAnswer(
        request_id=request.request_id if request else None,
        from_seq=request.from_seq if request else None,
        to_seq=request.to_seq if request else None,
        verdicts=0,
        refusal=why,
    )
