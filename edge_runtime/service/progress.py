"""Whether a station still gets anywhere: what it owes, and since when.

Moments in, seconds out; no clock, no lock, no thread. A station owes three things:

- its **source** owes an answer: a frame, or that none came in time. A source that has nothing to show
  and says so is idle and well. Nothing is owed while a frame that was taken is handed on, for which the
  stages behind may have no room, and after the last frame.
- its **engine** owes an answer for the batch that it was given, be it that it failed. Parts are answered
  without it meanwhile, so that their verdicts do not show a hang.
- the **stages behind** owe a verdict in the journal for frames that were taken in, once these have
  waited for company in their batch as long as they may. A disk that
  refuses has answered as well: starting the station anew would not mend the disk, and would lose the
  frames that are held back. A sync that never returns is no answer.
"""


class Progress:
    """What is owed by one run of a station; times are monotonic seconds."""

    def __init__(self, now: float, *, batch_wait_s: float = 0.0) -> None:
        """`batch_wait_s` is how long the first frame of a batch may wait for others, seconds."""
        self._batch_wait_s = batch_wait_s
        self._source_since: float | None = now
        self._engine_since: float | None = None
        self._verdict_since: float | None = None
        self._unanswered = 0
        self._ended = False

    @property
    def ended(self) -> bool:
        """No further frame will be taken in."""
        return self._ended

    def source_answered(self, now: float) -> None:
        """The source gave a frame or said that there is none."""
        self._source_since = now

    def frame_taken(self, now: float) -> None:
        """A frame is to be answered from now on; it is not handed on yet."""
        self._source_since = None
        if self._unanswered == 0:
            self._verdict_since = now + self._batch_wait_s
        self._unanswered += 1

    def frame_handed_on(self, now: float) -> None:
        """The frame found room; the source is asked again."""
        self._source_since = now

    def source_ended(self) -> None:
        """No further frame will be taken in."""
        self._ended = True

    def engine_asked(self, now: float) -> None:
        """The engine was given a batch."""
        self._engine_since = now

    def engine_answered(self) -> None:
        """It is done with it, or failed."""
        self._engine_since = None

    def frames_answered(self, count: int, now: float) -> None:
        """So many verdicts are durable."""
        self._unanswered -= count
        self._verdict_since = now + self._batch_wait_s if self._unanswered > 0 else None

    def disk_refused(self, now: float) -> None:
        """The disk said that it does not take the verdicts; they are tried again."""
        self._verdict_since = now

    def stalled_s(self, now: float) -> float:
        """How long what is owed longest has been owed; 0 when nothing is."""
        owed = [since for since in (self._verdict_since, self._engine_since) if since is not None]
        if self._source_since is not None and not self._ended:
            owed.append(self._source_since)
        return max(0.0, now - min(owed, default=now))
