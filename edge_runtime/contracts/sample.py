"""A kept sample: one part's frames on the station's disk, and why they are kept.

`Sample` is the JSON file beside the frames, written by the daemon and read by `edge-inspect samples`.
`RandomShare` is what makes the random samples countable. What is kept is decided in
`edge_runtime.samples`.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from edge_runtime.contracts.drift import DriftLevel
from edge_runtime.contracts.verdict import Verdict

SAMPLE_SCHEMA: Literal["edge-inspect/sample/1"] = "edge-inspect/sample/1"
RANDOM_SCHEMA: Literal["edge-inspect/random-share/1"] = "edge-inspect/random-share/1"

Share = Annotated[float, Field(ge=0, le=1)]


class Reason(StrEnum):
    """Why a part is worth a person's look."""

    RANDOM = "random"
    """Drawn by lot, whatever it shows: what is counted among these holds for all parts."""
    UNCERTAIN = "uncertain"
    """The verdict was `review`."""
    NEAR_THRESHOLD = "near_threshold"
    """The defect score lay so near a threshold that a little more would have changed the verdict."""
    RARE = "rare"
    """Decided for a class that this station seldom sees."""
    DRIFTED = "drifted"
    """The station had drifted, or the frame lay far outside of the training domain by itself."""
    REJECTED = "rejected"
    """The frame gate turned the frame away."""
    DISAGREEING = "disagreeing"
    """Rework or re-inspection came to another class than the model."""


class Claim(Contract):
    """One reason to keep a sample."""

    reason: Reason
    kind: Annotated[str, Field(max_length=64)] = ""
    """What room is shared out by within the reason: the class decided for, the code of a rejection, the
    statistic that had moved."""


class KeptFrame(Contract):
    """One frame of a sample."""

    file: str
    """Its name, in the folder of the samples."""
    sha256: Sha256
    bytes: Annotated[int, Field(ge=0)]
    as_it_came: bool
    """The file is the camera's, to the byte; else a lossless PNG of the pixels that it gave."""
    label: str | None
    """The class decided for from this frame; null where nothing was inspected."""
    rejection: str | None
    """Why the frame gate turned it away; null where it did not."""
    statistics: Mapping[str, float] | None
    """`edge_runtime.drift.statistics` of the pixels; null where nobody measured."""


class DriftThen(Contract):
    """How the station stood to its drift reference when the sample was decided."""

    level: DriftLevel
    moved: tuple[str, ...]
    """The statistics that had moved, the gravest first."""


class Sample(Contract):
    """The file `NAME.json` of a sample; `NAME` is also the beginning of its frames' names."""

    schema_: Annotated[Literal["edge-inspect/sample/1"], Field(alias="schema")] = SAMPLE_SCHEMA
    name: Annotated[str, Field(pattern=r"^[0-9]{12}-[0-9a-f]{8}$")]
    kept_at: UtcTime
    claims: Annotated[tuple[Claim, ...], Field(min_length=1)]
    """Why it is still kept; a reason that found no room any more is gone from here."""
    lot: Annotated[float, Field(ge=0, lt=1)]
    """Drawn once, evenly; see `edge_runtime.samples.rules.lot`."""
    generation: str
    """Of the sensor, as configured, such as `gen3`; empty where the station was not told."""
    drift: DriftThen | None
    """Null where drift is not monitored."""
    look: str
    """What the first frame is known again by: a thumbnail of 16x16 grey levels, base64; empty where
    nothing is to be seen."""
    embedding: str = ""
    """What the network saw in the first frame, `edge_runtime.samples.looks.embedding`; empty where the
    model does not tell."""
    returned_label: str | None = None
    """The class that came back from rework or re-inspection."""
    frames: Annotated[tuple[KeptFrame, ...], Field(min_length=1)]
    """In the order they were taken."""
    verdict: Verdict
    """As committed to the journal, to the byte."""

    @property
    def bytes(self) -> int:
        """Of all its frames."""
        return sum(frame.bytes for frame in self.frames)

    def has(self, reason: Reason) -> bool:
        """Whether it is kept for that reason."""
        return any(claim.reason is reason for claim in self.claims)


class RandomShare(Contract):
    """The file `random.json`: how probable it was for any part to be among the random samples.

    A part with the lot u, decided at t (Unix, seconds), is among them exactly if `u < most` and
    `log(u) - t * log(2) / half_life_s < limit`.
    """

    schema_: Annotated[Literal["edge-inspect/random-share/1"], Field(alias="schema")] = (
        RANDOM_SCHEMA
    )
    most: Share
    half_life_s: Annotated[float, Field(gt=0)]
    limit: float | None
    """Null while no random sample had to make room."""
    lost: Annotated[int, Field(ge=0)] = 0
    """Parts that were drawn and could not be kept, since the queue or the disk was full."""

    def rank(self, lot: float, at: datetime) -> float:
        """Orders the samples: the lowest stay longest. Old parts give way to new ones in time."""
        aged = at.timestamp() * math.log(2) / self.half_life_s
        return (math.log(lot) if lot else -math.inf) - aged

    def probability(self, at: datetime) -> float:
        """With which a part decided at that time is among the random samples that are there now."""
        if self.limit is None:
            return self.most
        aged = at.timestamp() * math.log(2) / self.half_life_s
        return min(self.most, math.exp(min(0.0, self.limit + aged)))
