"""One edge node's side of Sparkplug B without a network: verdicts and commands in, messages out.

Owns the order of births, data and deaths, `seq`, `bdSeq` in births and deaths, and when a rebirth is
due. Not thread-safe. Rules are those of Sparkplug 3.0.0; its names for them stand beside the code.
"""

from dataclasses import dataclass
from typing import Final

from edge_runtime.contracts.verdict import Verdict
from edge_runtime.errors import UsageError
from edge_runtime.mes.sparkplug.metrics import verdict_metrics
from edge_runtime.mes.sparkplug.payload import (
    REBIRTH,
    DataType,
    Metric,
    asks_for_rebirth,
    encode,
)

DEVICE: Final = "inspection"
"""The one device of the edge node."""
_SEQ_COUNT: Final = 256
_BETWEEN_BIRTHS_S: Final = 1.0
"""Rebirth requests that come faster are answered together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeNode:
    """Who speaks: the group's and the edge node's id, which no other node of the site may share."""

    group: str
    node: str

    def __post_init__(self) -> None:
        for name in (self.group, self.node):
            # tck-id-topic-structure-namespace-valid-group-id and -edge-node-id
            if not name or set(name) & set("+/#"):
                raise UsageError(f"Sparkplug id {name!r}: give it a text without '+', '/' and '#'")

    def topic(self, kind: str) -> str:
        """The topic of a message kind; kinds that begin with D are the device's."""
        device = f"/{DEVICE}" if kind.startswith("D") else ""
        return f"spBv1.0/{self.group}/{kind}/{self.node}{device}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SparkplugMessage:
    """To be published at QoS 0, not retained; as the will at QoS 1."""

    kind: str
    """`NBIRTH`, `DDATA` and so on."""
    topic: str
    payload: bytes


class SparkplugSession:
    """What an edge node says, from `begin` of one connection to `begin` of the next.

    `now` is wall time in milliseconds since 1970, UTC; `clock` is monotonic, in seconds.
    """

    def __init__(self, node: EdgeNode) -> None:
        self._node = node
        self._bd_seq = 0
        self._seq = 0
        self._current: Verdict | None = None
        self._labels: list[str] = []
        """Classes with a metric, in the order in which they became known."""
        self._rebirth_wanted = False
        self._born_at: float | None = None

    @property
    def command_topic(self) -> str:
        """Where hosts write to; to be subscribed to before the births, at QoS 1."""
        return self._node.topic("NCMD")

    def begin(self, bd_seq: int, *, now: int) -> SparkplugMessage:
        """A connection is about to be attempted: the will for it (QoS 1, not retained).

        `bd_seq` is one more than at the last attempt, after 255 comes 0.
        """
        self._bd_seq = bd_seq
        self._rebirth_wanted = False
        self._born_at = None
        return self._node_death(now)

    def births(
        self, *, now: int, clock: float, current: Verdict | None = None
    ) -> tuple[SparkplugMessage, ...]:
        """NBIRTH and DBIRTH, first after each connection and again whenever they are `due`.

        The device is born with the values of `current`, else of the last verdict that was mirrored.
        """
        if current is not None:
            self._learn(current)
        self._rebirth_wanted = False
        self._born_at = clock
        self._seq = 0  # tck-id-topics-nbirth-seq-num
        node = (
            self._bd_seq_metric(now),
            # Without an alias: tck-id-operational-behavior-data-commands-rebirth-name-aliases
            Metric(name=REBIRTH, datatype=DataType.BOOLEAN, value=False, timestamp=now),
        )
        device = verdict_metrics(self._current, self._labels, now=now)
        return (
            self._message("NBIRTH", encode(node, timestamp=now, seq=self._next_seq())),
            self._message("DBIRTH", encode(device, timestamp=now, seq=self._next_seq())),
        )

    def data(
        self, verdict: Verdict, *, now: int, clock: float, historical: bool = False
    ) -> tuple[SparkplugMessage, ...]:
        """DDATA with all of a verdict; births before it where it has classes that are not known yet.

        All of it, changed or not: one message that a host has missed must not make it show one part's
        fields beside another's. `historical` says that the verdict waited for a connection.
        """
        births: tuple[SparkplugMessage, ...] = ()
        known = len(self._labels)
        self._learn(verdict)
        if len(self._labels) > known:
            births = self.births(now=now, clock=clock)
        metrics = verdict_metrics(verdict, self._labels, now=now, historical=historical)
        data = encode(metrics, timestamp=now, seq=self._next_seq(), by_alias=True)
        return (*births, self._message("DDATA", data))

    def receive(self, payload: bytes) -> None:
        """A command from a host. Raises ValueError with the reason if it is none that is known here."""
        if not asks_for_rebirth(payload):
            raise ValueError(f"{REBIRTH} = true is the only command here")
        self._rebirth_wanted = True

    @property
    def rebirth_wanted(self) -> bool:
        """A host asked for births that are not sent yet: meanwhile no data may be."""
        # tck-id-operational-behavior-data-commands-rebirth-action-1
        return self._rebirth_wanted

    def rebirth_due_in(self, clock: float) -> float:
        """Seconds until the births that a host asked for may be sent; 0 if they are due."""
        if self._born_at is None:
            return 0.0
        return max(0.0, self._born_at + _BETWEEN_BIRTHS_S - clock)

    def deaths(self, *, now: int) -> tuple[SparkplugMessage, ...]:
        """DDEATH and NDEATH, to be sent before disconnecting in order."""
        device = encode((), timestamp=now, seq=self._next_seq())
        return (self._message("DDEATH", device), self._node_death(now))

    def _node_death(self, now: int) -> SparkplugMessage:
        # tck-id-topics-ndeath-payload and -seq: bdSeq alone, and no sequence number.
        death = encode((self._bd_seq_metric(now),), timestamp=now, seq=None)
        return self._message("NDEATH", death)

    def _message(self, kind: str, payload: bytes) -> SparkplugMessage:
        return SparkplugMessage(kind=kind, topic=self._node.topic(kind), payload=payload)

    def _bd_seq_metric(self, now: int) -> Metric:
        return Metric(name="bdSeq", datatype=DataType.INT64, value=self._bd_seq, timestamp=now)

    def _learn(self, verdict: Verdict) -> None:
        self._current = verdict
        self._labels += [label for label in verdict.scores if label not in self._labels]

    def _next_seq(self) -> int:
        seq = self._seq
        self._seq = (seq + 1) % _SEQ_COUNT
        return seq
