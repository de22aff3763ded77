"""The MES's end of the promise: every verdict of a station, a line or a site exactly once.

    with Consumer("mqtt://mes.local", site="plant-1", station="L07-S3") as consumer:
        for verdict in consumer:
            book(verdict.part_id, verdict.verdict)

Owns a subscription, one `Feed` per station, and the file that says how far it got. What is judged and
decided lies in the feeds; here are only the socket, the clock and the file.

**Exactly once.** A verdict counts as received when the next one is asked for: only then is it
acknowledged to the broker and, within a second, written into `state_file`. A consumer that ends by
itself goes on where it was. One that is killed gets the verdicts of its last second a second time,
and loses none: with a fixed `client_id` the broker keeps what it has not acknowledged, and what the
broker no longer has is asked from the station's journal.

**Threads.** One thread uses it; `stop` may be called from any, a signal handler included.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from edge_runtime.consumer.bookmark import read_bookmark, write_bookmark
from edge_runtime.consumer.feed import Feed
from edge_runtime.consumer.recovery import Patience
from edge_runtime.consumer.sequence import SequenceState
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import LARGEST_SEQ, VerdictMessage
from edge_runtime.mes.credentials import ANONYMOUS, Credentials
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.token_bucket import TokenBucket
from edge_runtime.mes.topics import Topics, everything_of, station_of

_LOOK_S: Final = 0.25
"""How often the gaps are looked after."""
_WRITE_S: Final = 1.0
"""How often the state file is written while verdicts come."""
_REMARKS_PER_S: Final = 2.0
_REMARKS_AT_ONCE: Final = 20


class Consumer:
    """Use as a context manager; raises BrokerError or StateError where it cannot begin or go on."""

    def __init__(
        self,
        address: str,
        *,
        site: str,
        station: str | None = None,
        line: str | None = None,
        credentials: Credentials = ANONYMOUS,
        from_seq: int | None = None,
        to_seq: int = LARGEST_SEQ,
        client_id: str | None = None,
        state_file: Path | None = None,
        patience: Patience | None = None,
        on_remark: Callable[[str], None] = lambda _text: None,
    ) -> None:
        """Follow `station` (`L07-S3`), or `line` (`L07`), or where neither is given the whole site.

        `from_seq` is the first verdict wanted of each station of which `state_file` does not know more;
        by default whatever comes first; none beyond `to_seq` is asked for. With a `client_id`, which no
        other client may use, the broker keeps what comes while this consumer is away, for a day at most.
        `on_remark` is told in one line what a person should know.
        """
        if station is not None and line is not None:
            raise ValueError(f"give a station ({station!r}) or a line ({line!r}), not both")
        self.malformed = 0
        """Messages on no station's topic."""
        self._site = site
        self._from_seq = from_seq
        self._to_seq = to_seq
        self._state_file = state_file
        # Several consumers that miss the same verdicts should not all ask at once.
        self._patience = patience or Patience(grace_s=random.uniform(5.0, 8.0))
        self._requester = f"{(client_id or 'consumer')[:24]}-{uuid.uuid4().hex[:8]}"
        self._on_remark = on_remark
        self._remarks = TokenBucket(rate=_REMARKS_PER_S, burst=_REMARKS_AT_ONCE)
        self._unsaid = 0
        self._stopping = threading.Event()
        self._known = dict(read_bookmark(state_file)) if state_file is not None else {}
        self._feeds: dict[str, Feed] = {}
        self._unwritten = False
        self._write_at = time.monotonic()
        self._look_at = time.monotonic()
        self._subscriber = open_subscriber(
            address,
            everything_of(site, StationId.parse(station) if station is not None else line),
            credentials=credentials,
            client_id=client_id,
        )

    @property
    def stations(self) -> Mapping[str, Feed]:
        """The stations that were heard of, by `L07-S3`."""
        return self._feeds

    @property
    def problem(self) -> str | None:
        """Why there is no connection to the broker at present; None while there is one."""
        return self._subscriber.problem

    def receive(self, timeout_s: float) -> VerdictMessage | None:
        """The next verdict that is new to this consumer, or None when none came within `timeout_s`."""
        until = time.monotonic() + timeout_s
        while True:
            now = time.monotonic()
            self._look_after(now)
            wait_s = min(until - now, _LOOK_S)
            message = self._subscriber.receive(max(0.0, wait_s))
            if message is None:
                if self._stopping.is_set() or time.monotonic() >= until:
                    return None
                continue
            feed = self._feed(message.topic)
            if feed is not None:
                verdict = feed.take(message.topic, message.payload, time.monotonic())
                self._unwritten = True
                if verdict is not None:
                    return verdict

    def __iter__(self) -> Iterator[VerdictMessage]:
        """All verdicts from now on, until `stop`."""
        while not self._stopping.is_set():
            verdict = self.receive(1.0)
            if verdict is not None:
                yield verdict

    def stop(self) -> None:
        """End the iteration soon."""
        self._stopping.set()

    def close(self) -> None:
        """Write down how far it got, and leave; all that was received counts as dealt with."""
        try:
            self._write()
            self._subscriber.acknowledge()
        finally:
            self._subscriber.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            # The last verdict was perhaps not dealt with: it must come again.
            self._subscriber.close()

    def _feed(self, topic: str) -> Feed | None:
        topics = station_of(topic)
        if topics is None:
            self.malformed += 1
            self._remark(f"a message on {topic[:100]!r} is no station's")
            return None
        name = str(topics.station)
        feed = self._feeds.get(name)
        if feed is None:
            feed = self._feeds[name] = self._new_feed(topics)
        return feed

    def _new_feed(self, topics: Topics) -> Feed:
        return Feed(
            topics,
            requester=self._requester,
            remark=self._remark,
            from_seq=self._from_seq,
            to_seq=self._to_seq,
            patience=self._patience,
            state=self._known.get(_key(topics)),
        )

    def _look_after(self, now: float) -> None:
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_S
        connected = self._subscriber.problem is None
        for feed in self._feeds.values():
            feed.connected(connected, now)
            request = feed.request(now) if connected else None
            if request is not None:
                self._subscriber.publish(feed.topics.replay_set, request.to_json().encode())
        if now >= self._write_at:
            self._write()
            self._write_at = now + _WRITE_S

    def _write(self) -> None:
        if self._state_file is None or not self._unwritten:
            return
        states: dict[str, SequenceState] = {
            _key(feed.topics): feed.sequence.state() for feed in self._feeds.values()
        }
        self._known |= states
        write_bookmark(self._state_file, self._known)
        self._unwritten = False

    def _remark(self, text: str) -> None:
        """Pass a remark on, unless somebody makes more of them than a person can read."""
        if not self._remarks.take(time.monotonic()):
            self._unsaid += 1
            return
        if self._unsaid:
            self._on_remark(f"{self._unsaid} remarks were left out")
            self._unsaid = 0
        self._on_remark(text)


def _key(topics: Topics) -> str:
    return f"{topics.site}/{topics.station}"
