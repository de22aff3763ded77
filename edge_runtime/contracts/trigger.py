"""A trigger: somebody tells the station that a part is there now."""

from typing import Annotated

from pydantic import Field

from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.part_id import PartId

LONGEST_DEADLINE_MS = 3_600_000


class Trigger(Contract):
    """The payload of `.../trigger`: QoS 1, not retained. One part, one trigger, one verdict."""

    part_id: PartId
    deadline_ms: Annotated[float, Field(gt=0, le=LONGEST_DEADLINE_MS)] | None = None
    """How soon after its arrival here it has to be answered, milliseconds; by default as configured."""
    trigger_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Names this trigger: what comes again under it is the same trigger. By default the part's id does,
    so that a part which is inspected a second time needs one."""
