"""The one question that every fault ends with: do the journal and the consumer agree, row by row?

Reads the journal's file with SQLite alone and computes the chain anew: what it says does not rest on the
product's code. The controls of this folder are caught by this same question.
"""

import hashlib
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.consumer import Consumer

JOURNAL = "journal.sqlite"
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What was found; `faults` is empty when every verdict is accounted for."""

    last_seq: int
    """The newest verdict in the journal."""
    received: int
    """Different verdicts at the consumer."""
    missing: tuple[int, ...]
    """In the journal, and never at the consumer."""
    unknown: tuple[int, ...]
    """At the consumer, and not in the journal."""
    different: tuple[int, ...]
    """At both, with different bytes."""
    contradicted: tuple[int, ...]
    """Sent twice with different bytes: a number was used again."""
    gaps: tuple[int, ...]
    """Numbers from 1 to `last_seq` that the journal does not have."""
    broken_links: tuple[int, ...]
    """Rows whose hash is not that of the row before, their number and their body."""
    unreadable: int
    duplicates: int
    """Not a fault: at least once is what QoS 1 promises."""

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        found = {
            "never at the consumer": self.missing,
            "not in the journal": self.unknown,
            "with other bytes than in the journal": self.different,
            "sent with two different contents": self.contradicted,
            "left out by the journal": self.gaps,
            "with a hash that is wrong": self.broken_links,
        }
        faults = [f"{len(seqs)} {words}: {_some(seqs)}" for words, seqs in found.items() if seqs]
        if self.unreadable:
            faults.append(f"{self.unreadable} messages that are no verdicts")
        return tuple(faults)


def reckon(state_dir: Path, consumer: Consumer) -> Reckoning:
    """Compare the journal of a daemon that has ended with what the consumer has."""
    committed, broken_links = read_journal(state_dir)
    received = consumer.digests
    last_seq = max(committed, default=0)
    return Reckoning(
        last_seq=last_seq,
        received=len(received),
        missing=tuple(sorted(committed.keys() - received.keys())),
        unknown=tuple(sorted(received.keys() - committed.keys())),
        different=tuple(
            seq
            for seq in sorted(committed.keys() & received.keys())
            if committed[seq] != received[seq]
        ),
        contradicted=tuple(sorted(consumer.contradicted)),
        gaps=tuple(seq for seq in range(1, last_seq + 1) if seq not in committed),
        broken_links=broken_links,
        unreadable=consumer.unreadable,
        duplicates=consumer.duplicates,
    )


def read_journal(state_dir: Path) -> tuple[dict[int, bytes], tuple[int, ...]]:
    """SHA-256 of each body by seq, and the numbers at which the chain does not hold.

    For a journal that was never pruned and began empty: its chain starts with 32 zero bytes.
    """
    digests: dict[int, bytes] = {}
    broken: list[int] = []
    before = bytes(32)
    with closing(sqlite3.connect(f"file:{state_dir / JOURNAL}?mode=ro", uri=True)) as journal:
        for seq, sha256, body in journal.execute(
            "SELECT seq, sha256, body FROM verdict ORDER BY seq"
        ):
            digests[seq] = hashlib.sha256(body).digest()
            if hashlib.sha256(before + seq.to_bytes(8, "big") + body).digest() != sha256:
                broken.append(seq)
            before = sha256
    return digests, tuple(broken)


def _some(seqs: Iterable[int]) -> str:
    shown = list(seqs)
    more = ", ..." if len(shown) > _SHOWN else ""
    return ", ".join(map(str, shown[:_SHOWN])) + more
