"""From what is known of alike answers to macro F1, defect recall and false positives, with intervals.

Owns the confusion matrix that answers are expected to have: for each *cell* of alike answers the share
of parts of each true class, from parts whose truth is known, times the parts of today that fell into
it. How well the shares are known is simulated: n rare events are no fewer than Gamma(n) and no more
than Gamma(n + 1), which in a single cell is Clopper and Pearson's bound. The one event more is given to
each kind of error, where it is expected. Of a class whose parts come `alike` at a time, so many count
as one.

Values in, values out; seeded, so that the same counts give the same figures.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.contracts.performance import Figure, Figures
from edge_runtime.contracts.verdict import Outcome

Floats = npt.NDArray[np.float64]

CONFIDENCE = 0.95
"""Of each bound by itself, as the gate of `optimize` has it."""
_DRAWS = 400
_SEED = 20261129
_SOME = 1e-9
"""Keeps shares of a cell without any event defined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Cells of alike answers, and parts whose truth is known."""

    labels: tuple[str, ...]
    good: npt.NDArray[np.bool_]
    """(labels,) which are of good parts."""
    answers: Sequence[tuple[Outcome, str]]
    """What is answered in each cell: outcome and class."""
    truths: Floats
    """(cells, labels): parts by their true class."""
    expected: Floats
    """(cells, labels): where truths that were not seen would lie, on any scale; 0 where none would."""
    alike: Floats
    """(labels,), at least 1."""

    def __post_init__(self) -> None:
        shape = len(self.answers), len(self.labels)
        if self.truths.shape != shape or self.expected.shape != shape:
            raise ValueError(
                f"expected {shape} truths, got {self.truths.shape} and {self.expected.shape} expected"
            )

    def decided(self) -> npt.NDArray[np.bool_]:
        """(cells, labels): the class that each cell's answer names."""
        return np.array([[label == own for label in self.labels] for _, own in self.answers])

    def outcome(self, *outcomes: Outcome) -> npt.NDArray[np.bool_]:
        """(cells,): which answer so."""
        return np.array([outcome in outcomes for outcome, _ in self.answers])


def figures(cells: Cells, parts: Floats, *, realised: bool) -> Figures:
    """The figures of parts (cells,) that were answered so; `parts` is their number in each cell.

    `realised`: of these very parts, whose own chance counts as well; else of the line they stand for.
    """
    rng = np.random.default_rng(_SEED)
    likely = cells.truths + cells.expected / cells.expected.sum(axis=1, keepdims=True)
    value = _reckoned(cells, _shares(likely)[None] * parts[:, None])
    worse = _reckoned(cells, _drawn(cells, parts, _errors(cells), rng, realised=realised))
    better = _reckoned(cells, _drawn(cells, parts, _rights(cells), rng, realised=realised))
    # More errors are worse for the first two, and raise the third.
    macro_f1, recall, false = (
        _figure(at, low, high)
        for at, low, high in (
            (value[0], worse[0], better[0]),
            (value[1], worse[1], better[1]),
            (value[2], better[2], worse[2]),
        )
    )
    return Figures(
        macro_f1=macro_f1,
        defect_recall=recall,
        false_positive_rate=false,
        confidence=CONFIDENCE,
    )


def _figure(value: Floats, low: Floats, high: Floats) -> Figure | None:
    """From its likeliest value and draws from below and above; NaN where a draw says nothing."""
    if np.isnan(value).any() or np.isnan(low).any() or np.isnan(high).any():
        return None
    at, least, most = np.clip(
        (value[0], np.quantile(low, 1 - CONFIDENCE), np.quantile(high, CONFIDENCE)), 0, 1
    )
    return Figure(value=at, low=min(at, least), high=max(at, most))


def _reckoned(cells: Cells, found: Floats) -> tuple[Floats, Floats, Floats]:
    """Macro F1, defect recall and false-positive rate, each (draws,), of parts (draws, cells, labels)
    by their truth; NaN where there is nothing to take a share of."""
    confusion = np.einsum("dct,ca->dat", found, cells.decided().astype(float))
    hits = np.einsum("dtt->dt", confusion)
    claims = confusion.sum(axis=1) + confusion.sum(axis=2)
    some = claims > _SOME
    f1 = np.where(some, 2 * hits / np.where(some, claims, 1.0), 0.0)
    with np.errstate(invalid="ignore"):
        macro_f1 = f1.sum(axis=1) / some.sum(axis=1)
        bad, good = found[:, :, ~cells.good].sum(axis=2), found[:, :, cells.good].sum(axis=2)
        noticed = cells.outcome(Outcome.DEFECT, Outcome.REVIEW)
        recall = bad[:, noticed].sum(axis=1) / bad.sum(axis=1)
        false = good[:, cells.outcome(Outcome.DEFECT)].sum(axis=1) / good.sum(axis=1)
    return macro_f1, recall if cells.good.any() else np.full_like(recall, np.nan), false


def _drawn(
    cells: Cells, parts: Floats, more: Floats, rng: np.random.Generator, *, realised: bool
) -> Floats:
    """(draws, cells, labels): parts by their truth as they may be, `more` events having been seen."""
    events = rng.gamma(cells.truths / cells.alike + more, size=(_DRAWS, *cells.truths.shape))
    found = _shares(events * cells.alike) * parts[:, None]
    if realised:
        found = _shares(rng.poisson(found / cells.alike) * cells.alike, found) * parts[:, None]
    return found


def _shares(counts: Floats, instead: Floats | None = None) -> Floats:
    """Of each truth in its cell, along the last axis; those of `instead` where nothing was counted."""
    if instead is not None:
        counts = np.where(counts.sum(axis=-1, keepdims=True) > 0, counts, instead)
    totals = counts.sum(axis=-1, keepdims=True)
    return np.asarray(counts / np.where(totals > 0, totals, 1.0))


def _errors(cells: Cells) -> Floats:
    """(cells, labels): one event for each kind of error, laid where it is expected."""
    good, own = cells.good[None], cells.decided()
    more = np.zeros_like(cells.truths)
    for outcome in (Outcome.OK, Outcome.REVIEW, Outcome.DEFECT):
        here = cells.outcome(outcome)[:, None] & ~own
        for kind in (here & good, here & ~good):
            expected = np.where(kind, cells.expected, 0.0)
            more += expected / max(float(expected.sum()), _SOME)
    return more


def _rights(cells: Cells) -> Floats:
    """(cells, labels): one event for each answer's being right."""
    return cells.decided().astype(float)
