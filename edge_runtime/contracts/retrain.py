"""Retrain requests: what a station asks of those who teach, and the evidence that it hands over.

`RetrainState` is published, retained, on a station's `retrain` topic: the rules and the requests that
are open. `EvidencePack` is `pack.json` of a pack in the station's state folder. When a request is made
is decided in `edge_runtime.retraining`; nothing is ever retrained by a station.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Name, Sha256, UtcTime
from edge_runtime.contracts.drift import DriftLevel

RETRAIN_SCHEMA: Literal["edge-inspect/retrain/1"] = "edge-inspect/retrain/1"
EVIDENCE_SCHEMA: Literal["edge-inspect/evidence/1"] = "edge-inspect/evidence/1"

RuleName = Literal["drift", "recall", "false_positives", "labels", "calendar"]


class RetrainRequest(Contract):
    """One request, open until another bundle runs."""

    id: Name
    """Unique per station: receivers drop what they know."""
    at: UtcTime
    rule: RuleName
    words: str
    """Why, in one line."""
    bundle: str
    model_sha256: Sha256
    """Of the variant that runs."""
    source_sha256: Sha256 | None
    """Of the float model that the bundle was built from; null in bundles that do not say."""
    level: DriftLevel
    """Of the station at that time."""
    evidence: str | None
    """Name of the evidence pack in the station's state folder; null where the disk refused it."""


class RuleStanding(Contract):
    """How one rule stands."""

    rule: RuleName
    words: str
    """What is asked, in one line."""
    standing: Literal["off", "unknown", "quiet", "pending", "requested"]
    """`unknown`: the station does not know what it would need; `pending`: it holds, but not long enough;
    `requested`: it fired and waits until the cause was gone, or another bundle runs."""
    since: UtcTime | None
    """Since when it holds, or when it fired; null else."""


class RetrainState(Contract):
    """A station's retrain requests at present, published (retained) on its `retrain` topic."""

    schema_: Annotated[Literal["edge-inspect/retrain/1"], Field(alias="schema")] = RETRAIN_SCHEMA
    boot_id: str
    site: Name
    line: str
    station: str
    at: UtcTime
    bundle: str
    requests: tuple[RetrainRequest, ...]
    """Those that are open, the oldest first."""
    rules: tuple[RuleStanding, ...]


class EvidencePack(Contract):
    """`pack.json`: what an evidence pack holds."""

    schema_: Annotated[Literal["edge-inspect/evidence/1"], Field(alias="schema")] = EVIDENCE_SCHEMA
    site: Name
    line: str
    station: str
    request: RetrainRequest
    files: Mapping[str, Sha256]
    """Every other file of the pack."""
    missing: tuple[str, ...]
    """What a pack may hold and this one does not, each with the reason."""
