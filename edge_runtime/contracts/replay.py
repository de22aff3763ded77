"""How a subscriber asks a station to send verdicts again, and what the station answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.verdict import LARGEST_SEQ

REPLAY_SCHEMA: Literal["edge-inspect/replay/1"] = "edge-inspect/replay/1"
LARGEST_REPLAY = 10_000
"""Verdicts per request at most."""

Seq = Annotated[int, Field(ge=1, le=LARGEST_SEQ)]


class ReplayRequest(Contract):
    """The payload of `.../replay/set`."""

    from_seq: Seq
    to_seq: Seq
    """The last one wanted, included."""
    request_id: Annotated[str, Field(max_length=64)] | None = None
    """Comes back in the answer; any text."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.to_seq < self.from_seq:
            raise ValueError(f"to_seq {self.to_seq} lies before from_seq {self.from_seq}")
        if self.to_seq - self.from_seq >= LARGEST_REPLAY:
            raise ValueError(
                f"asks for {self.to_seq - self.from_seq + 1} verdicts: at most {LARGEST_REPLAY} at once"
            )
        return self


class ReplayAnswer(Contract):
    """What the station says to a request, on `.../replay/answer`, before the verdicts themselves."""

    schema_: Annotated[Literal["edge-inspect/replay/1"], Field(alias="schema")] = REPLAY_SCHEMA
    request_id: str | None
    from_seq: int | None
    """The range as asked for; null where the request could not be read."""
    to_seq: int | None
    verdicts: Annotated[int, Field(ge=0)]
    """How many follow on `.../replay`."""
    refusal: str | None
    """Why none or not all follow, in one line; null when all do."""
