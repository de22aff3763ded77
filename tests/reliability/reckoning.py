"""The one question that every fault ends with: do the journal and the consumer agree, row by row?

Reads the journal's file with SQLite alone and computes the chain anew: what it says does not rest on the
product's code. And since the simulated line counts its parts, a part that passed without a verdict shows
as well, though the numbers of the verdicts have no gap. The controls of this folder are caught by this
same question.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from edge_runtime.simulation.seam import CROPS_PER_MODULE
from tests.reliability.consumer import Consumer

JOURNAL = "journal.sqlite"
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Reckoning:
    """What was found; `faults` is empty when every verdict is accounted for."""

    last_seq: int
    """The newest verdict in the journal."""
    pruned: int
    """How many of the oldest the journal no longer has."""
    received: int
    """Different verdicts at the consumer."""
    missing: tuple[int, ...]
    """Numbers up to `last_seq` that never came to the consumer."""
    unknown: tuple[int, ...]
    """At the consumer, and not in the journal though not pruned."""
    different: tuple[int, ...]
    """At both, with different bytes."""
    contradicted: tuple[int, ...]
    """Sent twice with different bytes: a number was used again."""
    gaps: tuple[int, ...]
    """Numbers up to `last_seq` that the journal does not have, pruned ones aside."""
    broken_links: tuple[int, ...]
    """Rows whose hash is not that of the row before, their number and their body."""
    passed_unseen: tuple[str, ...]
    """Parts that do not follow on the one before them: one in between has no verdict."""
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
            "before which a part passed without a verdict": self.passed_unseen,
        }
        faults = [
            f"{len(which)} {words}: {_some(which)}" for words, which in found.items() if which
        ]
        if self.unreadable:
            faults.append(f"{self.unreadable} messages that are no verdicts")
        return tuple(faults)


def passed_on_the_simulated_line(state_dir: Path) -> tuple[str, ...]:
    """Parts that do not follow on another of their run, in the simulated line's own count.

    Every run begins with the line's first part; if it was pruned, the oldest that is left is believed.
    The order of the verdicts says nothing: a part that is shed is answered before those that wait.
    """
    runs: dict[str, dict[int, str]] = {}
    pruned = False
    for seq, _, body in rows(state_dir):
        verdict = json.loads(body)
        pruned = pruned or (not runs and seq > 1)
        part_id = verdict["part_id"]
        module, crop = part_id.split("-")[-2:]
        places = runs.setdefault(verdict["boot_id"], {})
        places[int(module) * CROPS_PER_MODULE + int(crop)] = part_id
    found = []
    for number, places in enumerate(runs.values()):
        begins = min(places) if pruned and number == 0 else 0
        found += [
            places[place] for place in sorted(places) if place != begins and place - 1 not in places
        ]
    return tuple(found)


def reckon(
    state_dir: Path,
    consumer: Consumer,
    passed_unseen: Callable[[Path], tuple[str, ...]] = passed_on_the_simulated_line,
) -> Reckoning:
    """Compare the journal of a daemon that has ended with what the consumer has.

    `passed_unseen` knows how the source counts its parts.
    """
    committed, broken_links = read_journal(state_dir)
    received = consumer.digests
    kept = range(min(committed, default=1), max(committed, default=0) + 1)
    return Reckoning(
        last_seq=kept[-1] if kept else 0,
        pruned=kept.start - 1,
        received=len(received),
        missing=tuple(consumer.missing(kept.stop - 1)),
        unknown=tuple(
            seq for seq in sorted(received.keys() - committed.keys()) if seq >= kept.start
        ),
        different=tuple(
            seq
            for seq in sorted(committed.keys() & received.keys())
            if committed[seq] != received[seq]
        ),
        contradicted=tuple(sorted(consumer.contradicted)),
        gaps=tuple(seq for seq in kept if seq not in committed),
        broken_links=broken_links,
        passed_unseen=passed_unseen(state_dir),
        unreadable=consumer.unreadable,
        duplicates=consumer.duplicates,
    )


def read_journal(state_dir: Path) -> tuple[dict[int, bytes], tuple[int, ...]]:
    """SHA-256 of each body by seq, and the numbers at which the chain does not hold.

    The first verdict follows 32 zero bytes; where it was pruned, the oldest that is left is believed.
    """
    digests: dict[int, bytes] = {}
    broken: list[int] = []
    before: bytes | None = None
    for seq, sha256, body in rows(state_dir):
        digests[seq] = hashlib.sha256(body).digest()
        if seq == 1:
            before = bytes(32)
        if before and hashlib.sha256(before + seq.to_bytes(8, "big") + body).digest() != sha256:
            broken.append(seq)
        before = sha256
    return digests, tuple(broken)


def rows(state_dir: Path) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, hash and body of every verdict in the journal, in order; none where there is no file."""
    file = state_dir / JOURNAL
    if not file.exists():
        return
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as journal:
        yield from journal.execute("SELECT seq, sha256, body FROM verdict ORDER BY seq")


def _some(items: Iterable[object]) -> str:
    shown = list(items)
    more = ", ..." if len(shown) > _SHOWN else ""
    return ", ".join(map(str, shown[:_SHOWN])) + more
