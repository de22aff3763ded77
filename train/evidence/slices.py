"""Parts of an examination: by line, by station, by week, and the blurred frames.

Owns which slices there are and which images belong to each. What is counted on them is the business of
`train.evidence.evaluation`, what blur is that of `train.data.flags`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edge_runtime.errors import UsageError
from optimize.data.dataset import Dataset
from train.data.flags import MOTION_BLUR, UNSHARP, flag
from train.data.survey import survey
from train.data.time_order import moment

UNKNOWN = "(unknown)"
Blurred = npt.NDArray[np.bool_]
"""(N,) whether each image is blurred."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Images that have something in common."""

    column: str
    value: str
    images: npt.NDArray[np.int64]
    """Their positions, ascending."""


def _week(captured_at: str) -> str:
    """The ISO week, in UTC: 2025-W09, so that texts sort as times."""
    time = moment(captured_at)
    if time is None:
        return ""
    year, week, _ = time.isocalendar()
    return f"{year}-W{week:02}"


def _as_it_is(cell: str) -> str:
    return cell


_COLUMNS: dict[str, tuple[str, Callable[[str], str]]] = {
    "line": ("line", _as_it_is),
    "station": ("station", _as_it_is),
    "week": ("captured_at", _week),
    "generation": ("generation", _as_it_is),
}
"""What a slice is called, the field of a sample that it comes from, and how it is read."""
BLURRED, SHARP = "blurred", "sharp"
NAMES = (*_COLUMNS, BLURRED)


def find_blurred(
    dataset: Dataset, *, advanced: Callable[[int], object] = lambda _images: None
) -> Blurred:
    """Look at every image as it came; `advanced` is told of each few.

    Blurred is what `train audit` flags as such, by limits that come from these very images.
    """
    seen = survey(dataset, workers=2, progress=advanced)
    flagged = flag(seen.measures, seen.usable).images
    blurred = np.zeros(len(dataset.samples), np.bool_)
    blurred[np.concatenate([flagged[MOTION_BLUR], flagged[UNSHARP]])] = True
    return blurred


def usual(dataset: Dataset, blurred: Blurred) -> tuple[str, ...]:
    """The slices that tell images of this data set apart."""
    return tuple(name for name in NAMES if len(set(_values(dataset, name, blurred)) - {""}) > 1)


def parts(dataset: Dataset, names: Sequence[str], blurred: Blurred | None) -> tuple[Part, ...]:
    """The parts of each slice, by value; images that have none are a part of their own.

    `blurred` is wanted where a slice asks for it. Raises UsageError for a slice that there is not, or
    that no image has a value for.
    """
    require_names(names)
    found: list[Part] = []
    for name in names:
        values = np.array(list(_values(dataset, name, blurred)))
        if not (values != "").any():
            raise UsageError(f"--slice {name}: no image has a {_COLUMNS[name][0]}; leave it out")
        found.extend(
            Part(column=name, value=value or UNKNOWN, images=np.flatnonzero(values == value))
            for value in np.unique(values).tolist()
        )
    return tuple(found)


def require_names(names: Sequence[str]) -> None:
    """Raise UsageError for a slice that there is not."""
    for name in names:
        if name not in NAMES:
            raise UsageError(f"--slice {name}: no such slice; there are {', '.join(NAMES)}")


def _values(dataset: Dataset, name: str, blurred: Blurred | None) -> Iterator[str]:
    if name == BLURRED:
        if blurred is None:
            raise ValueError("the blurred slice needs a look at the images: find_blurred")
        return (BLURRED if bad else SHARP for bad in blurred.tolist())
    field, read = _COLUMNS[name]
    return map(read, dataset.column(field))
