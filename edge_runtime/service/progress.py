"""Whether a station still gets anywhere: what it owes, and since when.

Moments in, seconds out; no clock, no lock, no thread. A station owes three things:

- each **source** owes an answer: a frame, or that none came in time. A source that has nothing to show
  and says so is idle and well. Nothing is owed while a frame that was taken is handed on, for which the
  stages behind may have no room, and after the last frame.
- its **engine** owes an answer for the batch that it was given, be it that it failed. Parts are answered
  without it meanwhile, so that their verdicts do not show a hang.
- the **stages behind** owe a verdict in the journal for parts of which all frames were taken in, once
  these have waited for company in their batch as long as they may. A disk that refuses has answered
  as well: starting the station anew would not mend the disk, and would lose the frames that are held
  back. A sync that never returns is no answer.
"""


class Progress:
    """What is owed by one run of a station; times are monotonic seconds, sources are counted from 0."""

    def __init__(self, now: float, *, batch_wait_s: float = 0.0, sources: int = 1) -> None:
        """`batch_wait_s` is how long the first frame of a batch may wait for others, seconds."""
        self._batch_wait_s = batch_wait_s
        self._sources_since: dict[int, float | None] = dict.fromkeys(range(sources), now)
        """Of those that have not ended."""
        self._engine_since: float | None = None
        self._verdict_since: float | None = None
        self._unanswered = 0

    @property
    def ended(self) -> bool:
        """No further frame will be taken in."""
        return not self._sources_since

    def source_answered(self, source: int, now: float) -> None:
        """A source gave a frame or said that there is none, or its frame found room."""
        if source in self._sources_since:
            self._sources_since[source] = now

    def frame_taken(self, source: int) -> None:
        """A frame of a source is to be handed on; it is not asked meanwhile."""
        if source in self._sources_since:
            self._sources_since[source] = None

    def source_ended(self, source: int) -> None:
        """No further frame of a source will be taken in."""
        self._sources_since.pop(source, None)

    def part_completed(self, now: float) -> None:
        """All frames of a part were taken in: it is to be answered from now on."""
        if self._unanswered == 0:
            self._verdict_since = now + self._batch_wait_s
        self._unanswered += 1

    def engine_asked(self, now: float) -> None:
        """The engine was given a batch."""
        self._engine_since = now

    def engine_answered(self) -> None:
        """It is done with it, or failed."""
        self._engine_since = None

    def parts_answered(self, count: int, now: float) -> None:
        """The verdicts of so many parts that were complete are durable."""
        self._unanswered -= count
        self._verdict_since = now + self._batch_wait_s if self._unanswered > 0 else None

    def disk_refused(self, now: float) -> None:
        """The disk said that it does not take the verdicts; they are tried again."""
        self._verdict_since = now

    def stalled_s(self, now: float) -> float:
        """How long what is owed longest has been owed; 0 when nothing is."""
        owed = (self._verdict_since, self._engine_since, *self._sources_since.values())
        return max(0.0, now - min((since for since in owed if since is not None), default=now))
