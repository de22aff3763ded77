"""A station reduced to what a consumer sees of it, and told each step by a test.

Keeps the journal's bodies, publishes them in whichever lane, answers replay requests or not.
"""

import json
from contextlib import closing
from types import TracebackType
from typing import Self

from edge_runtime.contracts.replay import ReplayAnswer, ReplayRequest
from edge_runtime.contracts.station_id import StationId
from edge_runtime.contracts.verdict import DeliveryNote, Lane, message
from edge_runtime.mes.links import open_subscriber
from edge_runtime.mes.topics import Topics, everything_of
from tests.sample_verdicts import sample_verdict

TOPICS = Topics(site="plant-1", station=StationId.parse("L07-S3"))


class ScriptedStation:
    """L07-S3 at plant-1."""

    def __init__(self, address: str) -> None:
        self._link = open_subscriber(address, everything_of("plant-1", TOPICS.station))
        self.bodies: dict[int, bytes] = {}
        self.requests: list[ReplayRequest] = []

    def commit(self, first: int, last: int) -> None:
        """Write verdicts down without sending them."""
        for seq in range(first, last + 1):
            self.bodies[seq] = sample_verdict(seq).to_json().encode()

    def send(self, *seqs: int, lane: Lane = Lane.LIVE) -> None:
        """Send what was committed."""
        topic = TOPICS.replay if lane is Lane.REPLAY else TOPICS.verdict
        for seq in seqs:
            payload = message(self.bodies[seq], DeliveryNote(lane=lane, waited_ms=1.0))
            assert self._link.publish(topic, payload)

    def wait_until_sent(self, seq: int, timeout_s: float = 10.0) -> None:
        """Wait until the broker hands a verdict back: who subscribes later misses it."""
        while (heard := self._link.receive(timeout_s)) is not None:
            if heard.topic == TOPICS.verdict and json.loads(heard.payload)["seq"] == seq:
                return
        raise AssertionError(f"the broker never had verdict {seq}")

    def say(self, topic: str, payload: bytes) -> None:
        assert self._link.publish(topic, payload)

    def hear_request(self, timeout_s: float = 10.0) -> ReplayRequest:
        """The next replay request."""
        while (heard := self._link.receive(timeout_s)) is not None:
            if heard.topic == TOPICS.replay_set:
                self.requests.append(ReplayRequest.model_validate_json(heard.payload))
                return self.requests[-1]
        raise AssertionError("nobody asked")

    def answer(self, request: ReplayRequest, *, refusal: str | None = None) -> None:
        """Say how many follow and send them; with a refusal, what is there of the range all the same."""
        seqs = [seq for seq in range(request.from_seq, request.to_seq + 1) if seq in self.bodies]
        answer = ReplayAnswer(
            request_id=request.request_id,
            from_seq=request.from_seq,
            to_seq=request.to_seq,
            verdicts=len(seqs),
            refusal=refusal,
        )
        self.say(TOPICS.replay_answer, answer.to_json().encode())
        self.send(*seqs, lane=Lane.REPLAY)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with closing(self._link):
            pass
