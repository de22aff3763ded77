"""A verdict: exactly one for every part that entered the station.

What is committed to the journal (`Verdict`) and what the MES receives (`VerdictMessage`) are the
same bytes but for one field at the end, `delivery`, which only the sending can know. So a message
can be compared with the journal's row, and its hash with the chain's, to the byte.

Part and recipe fields are those of OPC 40100-1 `ResultType` in this project's spelling: `part_id` is
its partId, `internal_recipe_id` its internalRecipeId, and so on.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Name, Sha256, UtcTime
from edge_runtime.contracts.manifest import Thresholds
from edge_runtime.contracts.part_id import PartId

VERDICT_SCHEMA: Literal["edge-inspect/verdict/2"] = "edge-inspect/verdict/2"
LARGEST_SEQ = 2**63 - 1
"""The highest number that a journal can hold."""


class Outcome(StrEnum):
    """What the MES does with the part."""

    OK = "ok"
    DEFECT = "defect"
    REVIEW = "review"
    """Neither clear: a person decides."""
    NOT_INSPECTED = "not_inspected"
    """The station could not see the part; `reason` says why."""


def reason_code(reason: str) -> str:
    """What a reason begins with, up to its colon: it does not change, what follows is for people."""
    return reason.partition(":")[0]


class Timings(Contract):
    """Where the time went, milliseconds on the monotonic clock."""

    wait: Annotated[float, Field(ge=0)]
    """From arrival in the process to the start of its batch's inference, preprocessing excluded."""
    preprocess: Annotated[float, Field(ge=0)]
    """Decoding, checking and resizing this frame."""
    infer: Annotated[float, Field(ge=0)]
    """The whole batch's inference; every frame of a batch waits for all of it. 0 if none ran."""


class View(Contract):
    """What one picture of a part said."""

    camera: Annotated[int, Field(ge=1)]
    """Which of the station's sources, counted from 1 in the order of its configuration."""
    frame_id: PartId | None
    """What the source calls the frame; null where none came."""
    captured_at: UtcTime | None
    verdict: Outcome
    label: str | None
    reason: str | None
    scores: Mapping[str, Annotated[float, Field(ge=0, le=1)]]


class Lane(StrEnum):
    """Why a verdict is sent now."""

    LIVE = "live"
    """Just decided."""
    BACKLOG = "backlog"
    """Left over from a time without the broker."""
    REPLAY = "replay"
    """Asked for by a subscriber; sent before, perhaps."""


class DeliveryNote(Contract):
    """What only the sending knows."""

    lane: Lane
    waited_ms: Annotated[float, Field(ge=0)]
    """From the decision until the message was handed to the broker's connection, the durable commit
    in between, milliseconds. Large when the message waited out an outage."""


class Verdict(Contract):
    """One part, one verdict, as committed to the journal. No image bytes in it."""

    schema_: Annotated[Literal["edge-inspect/verdict/2"], Field(alias="schema")] = VERDICT_SCHEMA
    seq: Annotated[int, Field(ge=1)]
    """Number of this verdict at this station: gapless, survives restarts. Consumers de-duplicate and
    find gaps by it."""
    result_id: str
    """Names this verdict among all of all stations: `BOOT_ID:SEQ`."""
    is_simulated: bool
    """The picture was rendered, not taken: the verdict is about no real part."""
    boot_id: str
    """Identifies one run of the daemon (UUID 4)."""
    site: Name
    line: str
    station: str
    part_id: PartId
    product_id: str | None = None
    """What kind of part this is, as configured; null where the station was not told."""
    external_recipe_id: str | None = None
    """The MES's name for the inspection, as configured; null where the station was not told."""
    internal_recipe_id: str
    """`NAME/VERSION` of the bundle that decided."""
    triggered_at: UtcTime | None = None
    """When the part was announced; null where its frame itself was the trigger."""
    captured_at: UtcTime
    """When its first frame was exposed; where none came, when the part was announced."""
    decided_at: UtcTime
    verdict: Outcome
    label: str | None
    """The class that was decided for; null exactly when nothing was inspected."""
    reason: str | None = None
    """Why a part was not inspected or needs review; null for `ok` and `defect`."""
    scores: Mapping[str, Annotated[float, Field(ge=0, le=1)]]
    """Calibrated probability of each class, in the manifest's order; empty if nothing was inspected.
    Of a part with several views, those of the view that decided."""
    views: tuple[View, ...] = ()
    """What each view of a part with several said; empty where there is one, which the verdict is of."""
    thresholds: Thresholds
    model_sha256: Sha256
    """Hash of the model file that ran."""
    config_sha256: Sha256
    """Hash of the effective configuration, secrets excluded."""
    timings_ms: Timings


class VerdictMessage(Verdict):
    """A verdict as published on the `verdict` and `replay` topics."""

    delivery: DeliveryNote


_DELIVERY = b',"delivery":'


def message(body: bytes, delivery: DeliveryNote) -> bytes:
    """The payload of a `VerdictMessage` for a `Verdict` as committed; `body` ends with its brace."""
    return body[:-1] + _DELIVERY + delivery.to_json().encode() + b"}"


def committed(payload: bytes) -> bytes:
    """The `Verdict` as committed within the payload of a `VerdictMessage`, to the byte.

    Raises ValueError where there is no `delivery` at the end.
    """
    # Within a JSON text the quotes are escaped, so that the last occurrence is the field.
    body, found, _ = payload.rpartition(_DELIVERY)
    if not found:
        raise ValueError("the message has no delivery field at its end")
    return body + b"}"
