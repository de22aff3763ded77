"""The latest part of a data set: a test on what came after everything that was taught.

The rule: a group belongs to the time of its last image. From the latest group on, whole groups are taken
until the share is reached, and with them every group of the very same time. So nothing that stays was
captured at the cut or after it. A group that straddles the cut is taken with its earlier images, and
those are counted.
"""

import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from optimize.data.dataset import Dataset
from train.data.grouping import Grouping
from train.errors import DatasetError

LARGEST_SHARE = 0.5
"""Of the images that may be taken from those who teach."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The latest groups."""

    groups: npt.NDArray[np.bool_]
    """(G,) which ones."""
    cut: datetime
    """All others were captured before."""
    straddling: int
    """Images of the latest groups that were captured before the cut."""


def moment(captured_at: str) -> datetime | None:
    """The time that a manifest names, in UTC; so is one without a zone. None for what is no time."""
    try:
        read = datetime.fromisoformat(captured_at)
        return read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def latest(dataset: Dataset, grouping: Grouping, share: float) -> Latest:
    """The latest groups with about `share` of the images, at least two groups of each class staying.

    Raises DatasetError for an image without a time, or naming a class that the cut leaves on one side.
    """
    times = _times(dataset)
    last = np.full(len(grouping.names), -np.inf)
    np.maximum.at(last, grouping.group_of, times)
    newest_first = np.argsort(-last, kind="stable")
    reached = np.cumsum(grouping.sizes[newest_first])
    cut = float(last[newest_first[np.searchsorted(reached, share * len(times))]])
    groups = last >= cut
    for label, name in enumerate(grouping.labels):
        of_class = grouping.holders(label)
        if not groups[of_class].any():
            needed = int(reached[np.argmax(np.isin(newest_first, of_class))]) / len(times)
            wider = f"--test-split {math.ceil(needed * 1000) / 1000:g} reaches it, or "
            raise DatasetError(
                f"class {name!r} was last captured at {_text(float(last[of_class].max()))}, before the "
                f"test set begins at {_text(cut)}: {wider if needed <= LARGEST_SHARE else ''}leave out "
                f"--time-ordered, or the class (--where 'label!={name}')"
            )
        earlier = of_class[~groups[of_class]]
        if len(earlier) < 2:
            named = ", ".join(grouping.names[group] for group in of_class[:3])
            raise DatasetError(
                f"class {name!r} has {len(earlier)} of its {len(of_class)} groups ({named}) before the "
                f"test set begins at {_text(cut)}: two are needed, one to teach and one to validate; "
                "lower --test-split, or leave out --time-ordered"
            )
    return Latest(
        groups=groups,
        cut=datetime.fromtimestamp(cut, UTC),
        straddling=int((groups[grouping.group_of] & (times < cut)).sum()),
    )


def _times(dataset: Dataset) -> npt.NDArray[np.float64]:
    """(N,) seconds since 1970."""
    times = np.full(len(dataset.samples), np.nan)
    untimed = [index for index, text in enumerate(dataset.column("captured_at")) if not text]
    if untimed:
        raise DatasetError(
            f"{len(untimed)} of {len(times)} images have no captured_at, first "
            f"{dataset.samples[untimed[0]].path}: a time-ordered test set needs one for each; fill in "
            "the column, or leave out --time-ordered"
        )
    for index, text in enumerate(dataset.column("captured_at")):
        time = moment(text)
        if time is None:
            raise DatasetError(
                f"captured_at {text!r} of {dataset.samples[index].path} is no time: expected RFC 3339, "
                "such as 2025-03-01T06:00:00Z"
            )
        times[index] = time.timestamp()
    return times


def _text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
