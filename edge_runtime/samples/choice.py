"""Which of the samples in a folder a command means.

Owns the conditions and what a limit leaves: each reason its share, and the random samples random still.
Reads the folder beside a daemon that runs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from edge_runtime.contracts.sample import RandomShare, Reason, Sample
from edge_runtime.samples.folder import Folder
from edge_runtime.samples.reservoir import Entry, Reservoir


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """Which samples are meant; all of it must hold."""

    reasons: Sequence[Reason] = ()
    """Kept for any of these; empty for whatever reason."""
    since: datetime | None = None
    """Decided then or later."""
    before: datetime | None = None
    """Decided earlier."""

    def holds(self, sample: Sample) -> bool:
        """Whether the sample is meant."""
        at = sample.verdict.decided_at
        return (
            (not self.reasons or any(sample.has(reason) for reason in self.reasons))
            and (self.since is None or at >= self.since)
            and (self.before is None or at < self.before)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The samples that are meant."""

    samples: Sequence[Sample]
    """The oldest first; their claims are those that they were chosen for."""
    share: RandomShare | None
    """Of the random ones among these; None where none is known."""
    left_out: int
    """Samples that the limit left out."""


def choose(folder: Folder, condition: Condition, limit: int | None = None) -> Choice:
    """The samples that are meant, `limit` of them at most."""
    share = folder.random_share()
    found = {sample.name: sample for sample in folder.samples() if condition.holds(sample)}
    if limit is None or len(found) <= limit or share is None:
        return Choice(samples=tuple(found.values()), share=share, left_out=0)
    # The same fairness as on the disk, each sample weighing the same.
    room = Reservoir(limit, most=limit, limit=share.limit)
    for sample in found.values():
        rank = share.rank(sample.lot, sample.verdict.decided_at)
        room.offer(Entry(name=sample.name, bytes=1, rank=rank, claims=sample.claims))
    return Choice(
        samples=tuple(
            sample.model_copy(update={"claims": room.claims(name)})
            for name, sample in found.items()
            if name in room
        ),
        share=share.model_copy(update={"limit": room.limit}),
        left_out=len(found) - len(room),
    )
