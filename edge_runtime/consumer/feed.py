"""What a consumer knows of one station, and what it makes of each message from there.

No thread, no socket, no clock. The topics are public: whatever stands in a payload, it is taken, set
aside with a count and a remark, or ignored; nothing here raises for it.
"""

import hashlib
from collections.abc import Callable
from typing import Final

from pydantic import ValidationError

from edge_runtime.consumer.recovery import Patience, Recovery
from edge_runtime.consumer.sequence import Sequence, SequenceState, Standing
from edge_runtime.contracts.health import Health
from edge_runtime.contracts.journal import JournalHead
from edge_runtime.contracts.replay import ReplayAnswer, ReplayRequest
from edge_runtime.contracts.verdict import LARGEST_SEQ, VerdictMessage, committed
from edge_runtime.mes.topics import Topics
from edge_runtime.mes.window import OFFLINE, ONLINE, STOPPED

_LARGEST_PAYLOAD: Final = 1 << 20
"""Bytes; a station's messages have a few kilobytes."""
_LONGEST_REASON: Final = 200


class Feed:
    """One station as seen from the MES; `remark` is told in one line what a person should know."""

    def __init__(
        self,
        topics: Topics,
        *,
        requester: str,
        remark: Callable[[str], None],
        from_seq: int | None = None,
        to_seq: int = LARGEST_SEQ,
        patience: Patience | None = None,
        state: SequenceState | None = None,
    ) -> None:
        self.topics = topics
        self.sequence = Sequence(from_seq, state=state)
        self.recovery = Recovery(self.sequence, requester, patience or Patience(), to_seq=to_seq)
        self.availability: str | None = None
        """`online`, `stopped` or `offline`; None until the broker has said."""
        self.health: Health | None = None
        self.malformed = 0
        self._remark = remark
        self._connected = True

    def take(self, topic: str, payload: bytes, now: float) -> VerdictMessage | None:
        """Heed a message of this station; the verdict if it is one and new to this consumer."""
        lost = self.sequence.lost
        try:
            verdict = self._take(topic, payload, now)
        except ValueError as exc:
            self.malformed += 1
            self._say(f"a message on {topic} was set aside: {_reason(exc)}")
            return None
        if self.sequence.lost > lost:
            why = self.recovery.refusal or "the station no longer has them"
            self._say(f"{self.sequence.lost - lost} verdicts are lost: {why}")
        return verdict

    def connected(self, connected: bool, now: float) -> None:
        """This consumer has its connection to the broker, or not."""
        self._connected = connected
        self._tell_availability(now)

    def request(self, now: float) -> ReplayRequest | None:
        """What to ask the station for now, see `Recovery`."""
        request = self.recovery.request(now)
        if request is not None:
            self._say(f"is asked for verdicts {request.from_seq} to {request.to_seq} again")
        return request

    def _take(self, topic: str, payload: bytes, now: float) -> VerdictMessage | None:
        if len(payload) > _LARGEST_PAYLOAD:
            raise ValueError(f"{len(payload)} bytes are more than {_LARGEST_PAYLOAD}")
        if topic in (self.topics.verdict, self.topics.replay):
            return self._take_verdict(payload, now)
        if topic == self.topics.availability:
            self._take_availability(payload, now)
        elif topic == self.topics.health:
            health = Health.model_validate_json(payload)
            self._require_own(health)
            self._tell_problem(health.problem)
            self.health = health
            self.recovery.healthy(health.pending)
        elif topic == self.topics.journal:
            head = JournalHead.model_validate_json(payload)
            self._require_own(head)
            self.sequence.take_head(head.first_seq, min(head.last_seq, LARGEST_SEQ))
        elif topic == self.topics.replay_answer:
            self.recovery.answered(ReplayAnswer.model_validate_json(payload), now)
        return None

    def _take_verdict(self, payload: bytes, now: float) -> VerdictMessage | None:
        verdict = VerdictMessage.model_validate_json(payload)
        self._require_own(verdict)
        if verdict.seq > LARGEST_SEQ:
            raise ValueError(f"seq {verdict.seq} is beyond every journal")
        lane = verdict.delivery.lane
        standing = self.sequence.take(
            seq=verdict.seq,
            boot_id=verdict.boot_id,
            sha256=hashlib.sha256(committed(payload)).digest(),
            lane=lane,
        )
        if standing is Standing.RESTARTED:
            self.recovery.restarted()
            self._say(
                f"numbers from 1 again with verdict {verdict.seq}: its journal was moved away; "
                "what lacked of the old one is lost"
            )
        if standing is Standing.CONFLICT:
            self._say(
                f"sent verdict {verdict.seq} (part {verdict.part_id}) that contradicts another one: "
                "do two stations publish under this name, or was a journal put back?"
            )
        self.recovery.came(verdict.seq, lane, now)
        return verdict if standing in (Standing.NEW, Standing.RESTARTED) else None

    def _take_availability(self, payload: bytes, now: float) -> None:
        if payload not in (ONLINE, STOPPED, OFFLINE):
            raise ValueError("neither online nor stopped nor offline")
        said = payload.decode()
        if said != self.availability:
            self._say(f"is {said}")
        self.availability = said
        self._tell_availability(now)

    def _tell_problem(self, problem: str | None) -> None:
        before = None if self.health is None else self.health.problem
        if problem != before:
            self._say(f"reports: {problem[:_LONGEST_REASON]}" if problem else "is well again")

    def _tell_availability(self, now: float) -> None:
        self.recovery.available(self._connected and self.availability in (None, "online"), now)

    def _require_own(self, message: VerdictMessage | Health | JournalHead) -> None:
        own = (self.topics.site, self.topics.station.line, self.topics.station.station)
        if (message.site, message.line, message.station) != own:
            raise ValueError(
                f"says to come from {message.site} {message.line}-{message.station}"[:200]
            )

    def _say(self, text: str) -> None:
        """Tell a remark, as one line that a terminal can show whatever a sender put into it."""
        line = "".join(c if c.isprintable() else "?" for c in text)
        self._remark(f"{self.topics.station} {line}")


def _reason(error: ValueError) -> str:
    """Why a payload was not understood, in short."""
    text = str(error)
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        # The place may be a name that the sender made up.
        text = ": ".join([*filter(None, [".".join(map(str, first["loc"]))]), first["msg"]])
    return text[:_LONGEST_REASON]
