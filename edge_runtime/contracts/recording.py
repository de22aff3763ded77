"""What a recorded session says about itself: one header, and one line for each frame.

Written by `edge-inspect record`, read by the source `recording:FOLDER`; a recording may go from one
machine to another and be kept for years.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from edge_runtime.contracts.part_id import PartId

RECORDING_SCHEMA: Literal["edge-inspect/recording/1"] = "edge-inspect/recording/1"


class RecordingHeader(Contract):
    """`recording.json`: where the frames came from."""

    schema_: Annotated[Literal["edge-inspect/recording/1"], Field(alias="schema")] = (
        RECORDING_SCHEMA
    )
    source: str
    """The text that chose the source, without a password."""
    is_simulated: bool
    """The pictures were rendered, not taken; so is every verdict about them."""
    began_at: UtcTime


class ImageForm(StrEnum):
    """In what form the source gave a frame's image; a replay gives it in the same."""

    ENCODED = "encoded"
    """The bytes of a file, damaged or not, as they came."""
    PIXELS = "pixels"
    """Decoded pixels, kept as PNG without loss."""
    UNREADABLE = "unreadable"
    """There was no picture; `reason` says why."""


class RecordedFrame(Contract):
    """One line of `frames.jsonl`."""

    part_id: PartId
    captured_at: UtcTime
    arrived_s: Annotated[float, Field(ge=0, le=1e9)]
    """When it arrived, seconds after the first frame did."""
    image: ImageForm
    file: Annotated[str, StringConstraints(pattern=r"^\d{8}\.[a-z]{3}$")] | None = None
    """Its file in the folder `frames`; null for an unreadable one."""
    sha256: Sha256 | None = None
    """Of that file."""
    reason: str | None = None

    @model_validator(mode="after")
    def _has_what_its_form_needs(self) -> Self:
        if (self.image is ImageForm.UNREADABLE) != (self.file is None):
            raise ValueError("a frame has a file exactly when it has an image")
        if (self.file is None) != (self.sha256 is None):
            raise ValueError("a file and its sha256 come together")
        if (self.image is ImageForm.UNREADABLE) != (self.reason is not None):
            raise ValueError("a reason is given exactly for an unreadable frame")
        return self
