"""A strict MES: hears one station at QoS 1 in a persistent session and forgets nothing.

Shares no code with the product's own subscriber and consumer, so that a mistake there cannot hide the
same mistake here. Of each verdict it keeps the SHA-256 of the committed bytes, the message without its
`delivery` at the end. Its reconnecting is as plain as paho's.

**Threads.** paho's thread writes, any other reads, under one lock.
"""

import hashlib
import json
import math
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from tests.reliability.daemon import TOPICS

_VERDICTS = (f"{TOPICS}/verdict", f"{TOPICS}/replay")
_LARGEST_REPLAY = 10_000
"""Verdicts that a station sends per request, as its contract says."""


class Consumer:
    """All that one station ever said; a context manager, live from the start of the block."""

    def __init__(self, port: int, *, user: tuple[str, str] | None = None) -> None:
        """Listen at 127.0.0.1:`port`, as `user` with a password where the broker wants one."""
        self._port = port
        self._lock = threading.Lock()
        self._subscribed = threading.Event()
        self._digests: dict[int, bytes] = {}
        self._last_seq = 0
        self._contradicted: set[int] = set()
        self._unreadable = 0
        self._duplicates = 0
        self._lanes: Counter[str] = Counter()
        self._waits_ms = (math.inf, 0.0)
        self._heard_at = time.monotonic()
        self._states: deque[State] = deque(maxlen=10_000)
        self._user = user
        self._client = self._new_client()

    # --- what it has --------------------------------------------------------------------------------

    @property
    def digests(self) -> dict[int, bytes]:
        """SHA-256 of the committed bytes of every verdict, by seq."""
        with self._lock:
            return dict(self._digests)

    @property
    def contradicted(self) -> frozenset[int]:
        """Numbers that came with different contents."""
        with self._lock:
            return frozenset(self._contradicted)

    @property
    def unreadable(self) -> int:
        """Messages on a verdict topic that are no verdicts."""
        with self._lock:
            return self._unreadable

    @property
    def duplicates(self) -> int:
        """Verdicts that came again, as QoS 1 allows."""
        with self._lock:
            return self._duplicates

    @property
    def lanes(self) -> dict[str, int]:
        """Messages by the lane they came on, duplicates included."""
        with self._lock:
            return dict(self._lanes)

    @property
    def waits_ms(self) -> tuple[float, float]:
        """Shortest and longest `waited_ms` of all messages."""
        with self._lock:
            return self._waits_ms

    @property
    def count(self) -> int:
        """Different verdicts so far."""
        with self._lock:
            return len(self._digests)

    @property
    def last_seq(self) -> int:
        """The highest number so far; 0 before the first."""
        with self._lock:
            return self._last_seq

    @property
    def heard_at(self) -> float:
        """When the last verdict came, monotonic seconds."""
        with self._lock:
            return self._heard_at

    @property
    def states(self) -> list["State"]:
        """Everything but verdicts, in order of arrival."""
        with self._lock:
            return list(self._states)

    def availability(self) -> str:
        """What the station, or its will, said last; empty before the first."""
        return self.newest("availability").decode()

    def health(self) -> dict[str, Any]:
        """The newest health; empty before the first."""
        health: dict[str, Any] = json.loads(self.newest("health") or b"{}")
        return health

    def newest(self, of: str) -> bytes:
        """The newest state of that kind, by the last level of its topic; empty before the first."""
        return next((state.payload for state in reversed(self.states) if state.of == of), b"")

    def missing(self, last_seq: int) -> list[int]:
        """Numbers from 1 to `last_seq` that never came."""
        with self._lock:
            return [seq for seq in range(1, last_seq + 1) if seq not in self._digests]

    # --- what it does -------------------------------------------------------------------------------

    def wait(self, condition: Callable[["Consumer"], object], timeout_s: float = 20.0) -> bool:
        """True as soon as the condition holds for this consumer, False if it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition(self):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def wait_for_more(self, verdicts: int, timeout_s: float = 20.0) -> bool:
        """True once `verdicts` more have come than now."""
        enough = self.count + verdicts
        return self.wait(lambda consumer: consumer.count >= enough, timeout_s)

    def ask(self, seqs: Iterable[int]) -> None:
        """Ask the station to send these numbers again, in as few requests as it allows."""
        for number, (first, last) in enumerate(_ranges(seqs)):
            # The station ignores what comes faster than this.
            time.sleep(0.6 if number >= 10 else 0)
            request = json.dumps({"from_seq": first, "to_seq": last})
            self._client.publish(f"{TOPICS}/replay/set", request, qos=1)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Gone from the broker for the length of the block, which keeps the session."""
        self._leave()
        try:
            yield
        finally:
            self._subscribed.clear()
            # paho's client leaks sockets when its loop is started a second time.
            self._client = self._new_client()
            self.__enter__()

    def __enter__(self) -> Self:
        expiry = Properties(PacketTypes.CONNECT)
        expiry.SessionExpiryInterval = 86_400
        self._client.connect("127.0.0.1", self._port, clean_start=False, properties=expiry)
        self._client.loop_start()
        if not self._subscribed.wait(10.0):
            self._client.loop_stop()
            raise TimeoutError(f"no subscription at 127.0.0.1:{self._port} within 10 s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    def _new_client(self) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="strict-mes", protocol=MQTTProtocolVersion.MQTTv5
        )
        if self._user is not None:
            client.username_pw_set(*self._user)
        client.reconnect_delay_set(min_delay=0.1, max_delay=0.5)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _leave(self) -> None:
        self._client.disconnect()
        # paho's thread takes its own mark away when it ends, at times while this waits for it.
        with suppress(AttributeError):
            self._client.loop_stop()
        # Callbacks tie client and consumer into a cycle, and the client owns sockets.
        self._client.on_connect = self._client.on_subscribe = self._client.on_message = None

    # --- paho's thread ------------------------------------------------------------------------------

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe(f"{TOPICS}/#", qos=1)

    def _on_subscribe(self, *_: object) -> None:
        self._subscribed.set()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        with self._lock:
            if message.topic in _VERDICTS:
                self._take(payload)
            else:
                leaf = message.topic.rpartition("/")[2]
                after = self._lanes.total()
                self._states.append(State(of=leaf, payload=payload, after=after))

    def _take(self, payload: bytes) -> None:
        try:
            received = read(payload)
        except (ValueError, KeyError, TypeError):
            self._unreadable += 1
            return
        seq, digest = received.seq, received.digest
        self._lanes[received.lane] += 1
        shortest, longest = self._waits_ms
        self._waits_ms = (min(shortest, received.waited_ms), max(longest, received.waited_ms))
        if seq not in self._digests:
            self._digests[seq] = digest
            self._last_seq = max(self._last_seq, seq)
            self._heard_at = time.monotonic()
        elif self._digests[seq] == digest:
            self._duplicates += 1
        else:
            self._contradicted.add(seq)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One message that is no verdict."""

    of: str
    """The last level of its topic."""
    payload: bytes
    after: int
    """How many messages with verdicts came before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One message with a verdict, as far as it matters here."""

    seq: int
    digest: bytes
    """SHA-256 of the verdict as committed."""
    lane: str
    waited_ms: float


def read(payload: bytes) -> Received:
    """Take a message apart; ValueError, KeyError or TypeError where it is none with a verdict."""
    verdict = json.loads(payload)
    note = verdict["delivery"]
    body = payload.rpartition(b',"delivery":')[0] + b"}"
    return Received(
        seq=int(verdict["seq"]),
        digest=hashlib.sha256(body).digest(),
        lane=str(note["lane"]),
        waited_ms=float(note["waited_ms"]),
    )


def _ranges(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """First and last of each run of neighbours, none longer than a request may be."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(seqs):
        if ranges and seq == ranges[-1][1] + 1 and seq - ranges[-1][0] < _LARGEST_REPLAY:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges
