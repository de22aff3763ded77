"""The head of a station's journal as published (retained) on its `journal` topic.

Whoever keeps these can tell later whether the journal's tail was cut or rewritten: `edge-inspect
audit` compares the file with the last one.
"""

from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Name, Sha256, UtcTime

JOURNAL_SCHEMA: Literal["edge-inspect/journal/1"] = "edge-inspect/journal/1"


class JournalHead(Contract):
    """How far the journal reaches, and the hash that stands for all of it."""

    schema_: Annotated[Literal["edge-inspect/journal/1"], Field(alias="schema")] = JOURNAL_SCHEMA
    site: Name
    line: str
    station: str
    at: UtcTime
    first_seq: Annotated[int, Field(ge=1)]
    """The oldest verdict that is still kept; older ones cannot be replayed. One more than `last_seq`
    where none is kept."""
    last_seq: Annotated[int, Field(ge=0)]
    """The newest verdict; 0 before the first."""
    sha256: Sha256
    """Hash of verdict `last_seq`: SHA-256 over the previous verdict's hash (32 bytes, zeros before
    the first), `seq` (8 bytes, big-endian) and the verdict as committed."""
