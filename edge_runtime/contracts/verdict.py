"""A verdict as the MES receives it: exactly one for every frame that entered the station."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Name, Sha256, UtcTime
from edge_runtime.contracts.manifest import Thresholds

VERDICT_SCHEMA: Literal["edge-inspect/verdict/1"] = "edge-inspect/verdict/1"


class Outcome(StrEnum):
    """What the MES does with the part."""

    OK = "ok"
    DEFECT = "defect"
    REVIEW = "review"
    """Neither clear: a person decides."""
    NOT_INSPECTED = "not_inspected"
    """The station could not see the part; `reason` says why."""


class Timings(Contract):
    """Where the time went, milliseconds on the monotonic clock."""

    wait: Annotated[float, Field(ge=0)]
    """From arrival in the process to the start of its batch's inference, preprocessing excluded."""
    preprocess: Annotated[float, Field(ge=0)]
    """Decoding, checking and resizing this frame."""
    infer: Annotated[float, Field(ge=0)]
    """The whole batch's inference; every frame of a batch waits for all of it. 0 if none ran."""
    publish: Annotated[float, Field(ge=0)] | None = None
    """From the decision until the message was handed to the broker's connection, the durable commit
    in between; null in the outbox, set on the wire. Large when the message waited out an outage."""


class Verdict(Contract):
    """One part, one verdict. No image bytes in it."""

    schema_: Annotated[Literal["edge-inspect/verdict/1"], Field(alias="schema")] = VERDICT_SCHEMA
    seq: Annotated[int, Field(ge=1)]
    """Number of this verdict at this station: gapless, survives restarts. Consumers de-duplicate and
    find gaps by it."""
    boot_id: str
    """Identifies one run of the daemon (UUID 4)."""
    site: Name
    line: str
    station: str
    part_id: str
    captured_at: UtcTime
    decided_at: UtcTime
    verdict: Outcome
    label: str | None
    """The class that was decided for; null exactly when nothing was inspected."""
    reason: str | None = None
    """Why a part was not inspected or needs review; null for `ok` and `defect`."""
    scores: Mapping[str, Annotated[float, Field(ge=0, le=1)]]
    """Calibrated probability of each class, in the manifest's order; empty if nothing was inspected."""
    thresholds: Thresholds
    bundle: str
    """`NAME/VERSION` of the bundle that decided."""
    model_sha256: Sha256
    """Hash of the model file that ran."""
    config_sha256: Sha256
    """Hash of the effective configuration, secrets excluded."""
    timings_ms: Timings
