"""What a part truly was, as rework or re-inspection found it, and what the station says to that."""

from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.base import Contract
from edge_runtime.contracts.part_id import PartId
from edge_runtime.contracts.replay import Seq

LABEL_SCHEMA: Literal["edge-inspect/label/1"] = "edge-inspect/label/1"
UNKNOWN_DEFECT: Final = "unknown_defect"
"""A defect that the model has no class for; taken as a label beside the model's own."""


class Source(StrEnum):
    """Who looked at the part."""

    REWORK = "rework"
    REINSPECTION = "reinspection"
    AUDIT = "audit"


class Selected(StrEnum):
    """Why this part and not another: what decides what its label may be used for."""

    RANDOM = "random"
    """By chance from all parts, whatever their verdict: the only ones that tell of missed defects."""
    DEFECTS = "defects"
    """As one of those answered `defect`, not picked among them."""
    REVIEW = "review"
    """As one of those answered `review`, likewise."""
    OTHER = "other"
    """Picked by a person or by its looks; kept, and used for no figure."""


class Label(Contract):
    """The payload of `.../label`: what one part truly was."""

    part_id: PartId | None = None
    """The newest verdict about this part is meant; or `seq` says which, or both."""
    seq: Seq | None = None
    label: Annotated[str, Field(min_length=1, max_length=255)]
    """A class of the model, or `unknown_defect`."""
    source: Source
    selected: Selected
    request_id: Annotated[str, Field(max_length=64)] | None = None
    """Comes back in the answer; any text."""

    @model_validator(mode="after")
    def _names_a_part(self) -> Self:
        if self.part_id is None and self.seq is None:
            raise ValueError("names no part: give part_id or seq")
        return self


class LabelAnswer(Contract):
    """What the station says to a label, on `.../label/answer`; it is kept on disk by then."""

    schema_: Annotated[Literal["edge-inspect/label/1"], Field(alias="schema")] = LABEL_SCHEMA
    request_id: str | None
    part_id: str | None
    """As asked; null where the label could not be read."""
    seq: int | None
    """The verdict that it was matched to; null where there is none."""
    accepted: bool
    """Also for a label that the station has already."""
    refusal: str | None
    """Why not, in one line; null when it is accepted."""
