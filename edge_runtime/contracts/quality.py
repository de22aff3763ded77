"""Quality limits: what a frame must show to be judged, which travels in the bundle as `quality.json`.

Written by `optimize build` from the validation images, read by the daemon's frame gate
(`edge_runtime.quality`), which says what each measure is.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.base import Contract

QUALITY_SCHEMA: Literal["edge-inspect/quality/1"] = "edge-inspect/quality/1"
TILES = 8
"""The frame is looked at in TILES x TILES tiles."""
FEATURES = 3 * TILES * TILES
"""Light, steps across and steps down of every tile."""

Share = Annotated[float, Field(ge=0, le=1)]
Features = Annotated[tuple[float, ...], Field(min_length=FEATURES, max_length=FEATURES)]
"""A number for each feature of each tile: all light first, then all across, then all down, by rows."""


class Check(StrEnum):
    """What may be wrong with a frame: the code that its verdict's reason begins with."""

    DARK = "dark"
    OVEREXPOSED = "overexposed"
    COLOUR_CAST = "colour_cast"
    NO_SEAM = "no_seam"
    OCCLUDED = "occluded"
    BLURRED = "blurred"
    STUCK = "stuck"
    """Needs no limit: the picture is that of the frame before."""


class Measure(StrEnum):
    """A number that limits are set on; `edge_runtime.quality.measures` says what it is."""

    BRIGHTNESS = "brightness"
    HIGHLIGHTS = "highlights"
    WARMTH = "warmth"
    TINT = "tint"
    PATTERN = "pattern"
    COVER = "cover"
    CRISPNESS = "crispness"
    SMEAR = "smear"


class Limit(Contract):
    """How far one measure may go on one side."""

    check: Check
    measure: Measure
    side: Literal["lowest", "highest"]
    value: float
    trial: str
    """The damage that was done to undamaged images to see what the limit is good for."""
    caught: Share
    """Share of them that the limit turned away."""
    off: str | None = None
    """Why frames are not held to it; null where they are."""


class Appearance(Contract):
    """What the undamaged images look like, tile by tile."""

    mean: Features
    deviation: Features
    """Of what the directions below leave unexplained; above 0."""
    directions: tuple[Features, ...]
    """Orthonormal: in which the images differ from each other as wholes."""

    @model_validator(mode="after")
    def _positive(self) -> Self:
        if min(self.deviation) <= 0:
            raise ValueError("a deviation that is not above 0")
        return self


class QualityReference(Contract):
    """`quality.json` of a bundle."""

    schema_: Annotated[Literal["edge-inspect/quality/1"], Field(alias="schema")] = QUALITY_SCHEMA
    dataset: str
    """Which images: name and content hash."""
    images: Annotated[int, Field(ge=1)]
    cost: Share
    """Share of undamaged frames that the limits together were allowed to turn away."""
    set_aside: Annotated[int, Field(ge=0)]
    """Of the images those that look damaged themselves: they set no limit."""
    limits: tuple[Limit, ...]
    appearance: Appearance

    @model_validator(mode="after")
    def _limited_once(self) -> Self:
        sides = [(limit.measure, limit.side) for limit in self.limits]
        if len(set(sides)) != len(sides):
            raise ValueError("a measure is limited twice on the same side")
        if any(limit.check is Check.STUCK for limit in self.limits):
            raise ValueError("a stuck picture is no matter of a limit")
        return self
