"""Drift: what the training domain looked like, which travels in the bundle, and what a station says.

`DriftReference` is a bundle's file `drift.json`, written by `optimize build` and read by the daemon.
`DriftReport` is the state that a station publishes, retained, on its `drift` topic. What counts as
drift is decided in `edge_runtime.drift`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.base import Contract, Name, UtcTime
from edge_runtime.contracts.performance import AnswerReference, Estimated, Measured

REFERENCE_SCHEMA: Literal["edge-inspect/drift-reference/1"] = "edge-inspect/drift-reference/1"
REPORT_SCHEMA: Literal["edge-inspect/drift/1"] = "edge-inspect/drift/1"

Share = Annotated[float, Field(ge=0, le=1)]
Measure = Literal["brightness", "contrast", "highlights", "sharpness", "noise", "colour"]
"""An image statistic; `edge_runtime.drift.statistics.FrameStatistics` says what it is and its scale."""


class MeasureReference(Contract):
    """How one image statistic was distributed over the reference images."""

    name: Measure
    mean: float
    deviation: Annotated[float, Field(gt=0)]
    """Standard deviation between images."""
    effective_images: Annotated[float, Field(gt=0)]
    """So many independent images would know the mean as well: images of one group are alike."""
    low: float
    high: float
    """Between the two lie the middle 95 % of the images."""
    edges: Annotated[tuple[float, ...], Field(min_length=2)]
    """Ascending limits of the bins; the outermost bins take what lies beyond."""
    shares: tuple[Share, ...]
    """Share of the images in each bin; one fewer than edges."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.shares) != len(self.edges) - 1:
            raise ValueError(f"{len(self.edges)} edges for {len(self.shares)} bins in {self.name}")
        if any(right <= left for left, right in zip(self.edges, self.edges[1:], strict=False)):
            raise ValueError(f"the edges of {self.name} do not ascend")
        if abs(sum(self.shares) - 1) > 1e-6:
            raise ValueError(f"the shares of {self.name} sum to {sum(self.shares):g}, expected 1")
        return self


class ShareReference(Contract):
    """A share of the reference images, or the mean of a score between 0 and 1."""

    name: str
    """`not_inspected`, `review`, `defect_score`, `class:LABEL` for a share of decided classes, or
    `certainty:LABEL` for the mean probability of that class where it was decided for."""
    mean: Share
    effective_images: Annotated[float, Field(gt=0)]


class DriftReference(Contract):
    """`drift.json` of a bundle: the training domain, as its validation images show it."""

    schema_: Annotated[Literal["edge-inspect/drift-reference/1"], Field(alias="schema")] = (
        REFERENCE_SCHEMA
    )
    dataset: str
    """Which images: name and content hash."""
    images: Annotated[int, Field(ge=1)]
    line_mix: bool
    """Whether the images have the line's own mix of classes. Where they were selected, their shares of
    classes, of review and their scores say nothing of the line and are not watched."""
    measures: Annotated[tuple[MeasureReference, ...], Field(min_length=1)]
    shares: tuple[ShareReference, ...]
    answers: AnswerReference | None = None
    """What the present figures are estimated from; null in bundles from before there was any."""

    @model_validator(mode="after")
    def _named_once(self) -> Self:
        names = [measure.name for measure in self.measures] + [s.name for s in self.shares]
        if len(set(names)) != len(names):
            raise ValueError(f"statistics repeat: {', '.join(names)}")
        return self


class DriftLevel(StrEnum):
    """How far a station has moved from what its model was trained on."""

    NOT_MONITORED = "not_monitored"
    OK = "ok"
    WARNING = "warning"
    """Certainly moved, and by enough to look into."""
    ALARM = "alarm"
    """Certainly moved, and by so much that verdicts may be wrong."""


class Moved(Contract):
    """One statistic that has left the training domain."""

    statistic: str
    level: DriftLevel
    since: UtcTime
    """When the first of the parts was decided that show it."""
    reference: float
    """Mean in the reference, in `unit`."""
    now: float
    """Mean over the most recent parts, likewise."""
    unit: str
    effect: float
    """Shift of the mean in standard deviations of the reference; for shares and scores Cohen's h."""
    psi: float | None
    """Population stability index over the most recent parts; null for shares and scores."""
    wasserstein: float | None
    """Distance of the distributions in standard deviations of the reference: of a measure Wasserstein-1,
    of the centre of features Frechet's (Wasserstein-2 of normal ones, by axes); null otherwise."""
    affected: Share | None
    """Share of recent parts outside of where 95 % of the reference lies; null likewise."""
    camera: int | None = None
    """Which of the station's cameras it is about, from 0; null for the station as a whole."""
    words: str
    """The same as a sentence."""


class DriftReport(Contract):
    """A station's drift at present, published (retained) on its `drift` topic."""

    schema_: Annotated[Literal["edge-inspect/drift/1"], Field(alias="schema")] = REPORT_SCHEMA
    boot_id: str
    site: Name
    line: str
    station: str
    at: UtcTime
    bundle: str
    level: DriftLevel
    since: UtcTime | None
    """Since when anything has moved; null where nothing has."""
    summary: str
    """What a person should read, in one line."""
    parts: Annotated[int, Field(ge=0)]
    """Parts watched, earlier runs with the same bundle and configuration included; a kill loses what
    was not written down yet, some hundred parts at most."""
    moved: tuple[Moved, ...]
    """The statistic with the largest effect for its limit first."""
    estimated: Estimated | None = None
    """The present figures without labels; null where nothing is known to estimate them from."""
    measured: Measured | None = None
    """The figures from labels that came back; null where the station takes none."""
    effects: Mapping[str, float] = {}
    """Of every statistic that is watched, moved or not; as in `Moved`, over the most recent parts. Empty
    before the first block of parts is full."""
