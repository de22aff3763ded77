"""A station's state of health as published (retained) on its `health` topic."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Name, UtcTime
from edge_runtime.contracts.verdict import Outcome

HEALTH_SCHEMA: Literal["edge-inspect/health/1"] = "edge-inspect/health/1"

Count = Annotated[int, Field(ge=0)]


class Latency(Contract):
    """Frame arrival to PUBACK over the most recent frames; milliseconds."""

    p50_ms: float
    p99_ms: float
    frames: Annotated[int, Field(ge=1)]
    """How many frames the percentiles cover."""


class Health(Contract):
    """Counters since this daemon started. At rest, `parts` = sum of `verdicts`."""

    schema_: Annotated[Literal["edge-inspect/health/1"], Field(alias="schema")] = HEALTH_SCHEMA
    boot_id: str
    site: Name
    line: str
    station: str
    at: UtcTime
    uptime_s: Annotated[float, Field(ge=0)]
    bundle: str
    engine: str
    parts: Count = 0
    """Parts that were announced, by a trigger or by their frame."""
    frames: Count
    """Frames taken in for them."""
    frames_unasked: Count = 0
    """Frames that no part waited for: exposed before its trigger, or between parts."""
    verdicts: Mapping[Outcome, Count]
    """Verdicts committed, by outcome."""
    not_inspected: Mapping[str, Count] = {}
    """Of these the parts that were not inspected, by the code that the reason begins with."""
    shed: Count = 0
    """Of them, `not_inspected` because of overload: there was no time to inspect the part."""
    acknowledged: Count
    """Verdicts the broker has acknowledged."""
    pending: Count
    """Verdicts in the journal that wait for the broker."""
    refused: Count
    """Verdicts in the journal that the broker refused for good; they are kept."""
    triggers_repeated: Count = 0
    """Triggers that had come before; a part is answered once."""
    triggers_ignored: Count = 0
    """Triggers that could not be read or came too fast to be taken in; they have no verdict."""
    requests_ignored: Count = 0
    """Replay requests that came too fast to be answered."""
    not_mirrored: Count = 0
    """Verdicts that the Sparkplug mirror did not send; the record has them all the same."""
    connections: Count
    """Sessions with the broker since the start; more than one means that it was lost in between."""
    camera_restarts: Count = 0
    """How often the camera's process was started anew because it hung, ended or gave nothing usable."""
    frames_lost: Count = 0
    """Frames that the camera gave and the station could not take in; they have no verdict."""
    history_lost: Count = 0
    """Minutes of the drift history that the disk did not take; the verdicts are in the journal."""
    samples: Count = 0
    """Samples that are kept on the station's disk."""
    samples_lost: Count = 0
    """Parts that were to be kept as samples and were not: the queue was full, or the disk refused."""
    latency: Latency | None
    problem: str | None
    """What is wrong at present, in one line; null when nothing is."""
