"""The hash chain over a station's verdicts: what makes a change or a removal visible.

Each link covers the link before it, the number and the bytes of its verdict, so that the newest link
stands for every verdict there ever was.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

GENESIS: Final = bytes(32)
"""The link before the first verdict."""


def link(previous: bytes, seq: int, body: bytes) -> bytes:
    """SHA-256 (32 bytes) over the previous link, `seq` as 8 bytes big-endian, and the verdict."""
    return hashlib.sha256(previous + seq.to_bytes(8, "big") + body).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How far a journal reaches and what it still holds."""

    first_seq: int
    """The oldest verdict of the chain that is kept; one more than `last_seq` where none is."""
    last_seq: int
    """The newest verdict; 0 before the first."""
    sha256: bytes
    """Its link, 32 bytes."""
