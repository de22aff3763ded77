"""How well a station does: what is known of its answers beforehand, and the figures it publishes.

`AnswerReference` is the part of a bundle's drift reference from which the present figures are
estimated; `Estimated` are those figures without a label, `Measured` those from labels that came back.
How they are reckoned is decided in `edge_runtime.drift`.
"""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field, model_validator

from edge_runtime.contracts.base import Contract, UtcTime
from edge_runtime.contracts.verdict import Outcome

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class AnswerCell(Contract):
    """Answers that are alike, and what the validation images behind them truly were."""

    label: str
    """The class decided for."""
    outcome: Outcome
    certain_from: Share
    """Answers whose probability of `label` is at least this, and below the next such cell's."""
    truths: tuple[Count, ...]
    """Images by their true class, in the order of the reference's labels."""
    expected: tuple[Annotated[float, Field(ge=0)], ...]
    """The same as the model's own probabilities have it."""


class AnswerReference(Contract):
    """How the answers of the bundle's default variant are calibrated, and how well that is known."""

    labels: tuple[str, ...]
    ok_labels: tuple[str, ...]
    alike: tuple[Annotated[float, Field(ge=1)], ...]
    """By class: so many images of it come together in one group. The images count as one, the worst
    there is."""
    cells: tuple[AnswerCell, ...]
    """Every answer falls into one."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        size = len(self.labels)
        if len(self.alike) != size:
            raise ValueError(f"{len(self.alike)} entries of alike for {size} labels")
        for cell in self.cells:
            if cell.label not in self.labels:
                raise ValueError(f"a cell has the unknown label {cell.label}")
            if len(cell.truths) != size or len(cell.expected) != size:
                raise ValueError(f"a cell of {cell.label} does not count {size} classes")
        return self


class Figure(Contract):
    """A share and where it lies with confidence."""

    value: Share
    low: Share
    high: Share


class Figures(Contract):
    """What `optimize build` gates a model by, of parts that were inspected."""

    macro_f1: Figure | None
    """Null where too little is known."""
    defect_recall: Figure | None
    """Share of defective parts answered `defect` or `review`; null likewise, and without ok labels."""
    false_positive_rate: Figure | None
    """Share of good parts answered `defect`; null likewise."""
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    """That a figure is no lower than its `low`; no higher than its `high`: of each by itself."""


class Estimated(Figures):
    """The figures of the most recent parts, from the answers alone."""

    parts: Count
    """Inspected parts that they are about."""
    unreliable: str | None
    """Why the intervals need not hold at present, in one line; null where nothing says so."""
    words: str
    """The same for a person."""


class Measured(Figures):
    """The figures from labels that came back."""

    labels: Count
    """Of the period that were used."""
    random: Count
    """Of them, those of parts that were drawn by chance: only they tell of missed defects."""
    since: UtcTime | None
    """Parts decided from then on; null where there is no label."""
    received: Mapping[str, Count]
    """What became of all labels since the start of the daemon: `accepted`, `repeated`, `corrected`,
    `unreadable`, `unknown_part`, `unknown_label`, `ignored`; what never happened is left out."""
    words: str
