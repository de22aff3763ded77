"""Writes a dataset of the simulated line: class folders and a `manifest.csv`.

Owns the layout on disk and the splitting over processes. A part depends on the seed and its index alone,
so the same recipe writes the same bytes however many processes share the work. The folder appears all at
once: it is written aside and renamed when it is complete.
"""

import csv
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2

from edge_runtime.errors import UsageError
from edge_runtime.simulation.generations import DEFECTS, NO_DEFECT
from edge_runtime.simulation.line import SimulatedLine, SimulatedPart
from edge_runtime.simulation.seam import CROPS_PER_MODULE
from edge_runtime.written_aside import folder_written_aside

COLUMNS = (
    "path",
    "label",
    "group",
    "line",
    "station",
    "captured_at",
    "generation",
    "true_label",
    "blurred",
    "corrupt",
)
"""Of the manifest. `group` is the module's serial; `true_label` is for audits only; `blurred` is `yes`
or empty; `corrupt` names what is wrong with the file and is empty for a sound one."""

_CHUNK = 8 * CROPS_PER_MODULE  # whole modules, so that no texture is made twice
_WORTH_A_POOL = 8 * _CHUNK  # below this a process takes longer to start than it saves

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What to simulate; picklable, so every process makes its own line from it."""

    generation: str
    seed: int
    size: int = 256
    defect_share: float | None = None
    """Share of defective parts, spread evenly over the five defects; None keeps the generation's own."""
    clean: bool = False
    """Leave out damaged files and wrong labels."""

    def line(self) -> SimulatedLine:
        """The line that this recipe describes; raises UsageError where it cannot be."""
        return SimulatedLine(
            self.generation,
            self.seed,
            size=self.size,
            class_shares=None if self.defect_share is None else balanced_shares(self.defect_share),
            corrupt=0.0 if self.clean else None,
            mislabelled=0.0 if self.clean else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a dataset holds."""

    folder: Path
    classes: Mapping[str, int]
    """Files by given label."""
    corrupt: int
    blurred: int
    mislabelled: int

    def summary(self) -> str:
        """One line for a person."""
        counts = " ".join(f"{label}={count}" for label, count in sorted(self.classes.items()))
        return (
            f"{self.folder}: {sum(self.classes.values())} images ({counts}), "
            f"{self.corrupt} corrupt, {self.blurred} blurred, {self.mislabelled} mislabelled"
        )


def balanced_shares(defect_share: float) -> Mapping[str, float]:
    """Class shares with `defect_share` spread evenly over the five defects."""
    if not 0 <= defect_share <= 1:
        raise UsageError(f"the defect share must lie between 0 and 1, got {defect_share:g}")
    each = defect_share / len(DEFECTS)
    return {NO_DEFECT: 1 - defect_share} | dict.fromkeys(DEFECTS, each)


def write_dataset(
    recipe: Recipe,
    count: int,
    out: Path,
    *,
    workers: int = 1,
    progress: Callable[[int], object] = lambda _: None,
) -> Written:
    """Write `count` parts to the folder `out`, which must be absent or empty.

    `progress` is called with the number of images finished since its last call.
    """
    if count < 1:
        raise UsageError(f"count {count} is too small: ask for at least 1 image")
    if workers < 1:
        raise UsageError(f"{workers} workers cannot work: give at least 1")
    recipe.line()  # refuses a recipe that cannot be before anything is touched
    _refuse_taken(out)

    def error(place: Path, why: str) -> UsageError:
        return UsageError(f"cannot write to {out}: {why}" + (f" ({place})" if place != out else ""))

    with folder_written_aside(
        out,
        error=error,
        move=Path.rename,  # into an empty folder's place as well
        synced=False,  # the recipe writes it again; a sync costs half of what drawing does
    ) as folder:
        rows: list[Row] = []
        for written in _rows(recipe, count, folder, workers):
            rows += written
            progress(len(written))
        with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    named = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    return Written(
        folder=out,
        classes=Counter(row["label"] for row in named),
        corrupt=sum(row["corrupt"] != "" for row in named),
        blurred=sum(row["blurred"] != "" for row in named),
        mislabelled=sum(row["label"] != row["true_label"] for row in named),
    )


def _refuse_taken(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file: name a folder that does not exist yet")
    try:
        taken = out.is_dir() and any(out.iterdir())
    except OSError as exc:
        raise UsageError(f"cannot write to {out}: {exc.strerror} ({exc.filename})") from exc
    if taken:
        raise UsageError(f"{out} is not empty: name a new folder, or empty this one first")


def _rows(recipe: Recipe, count: int, folder: Path, workers: int) -> Iterator[list[Row]]:
    spans = [(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    write = partial(_write_span, recipe, folder)
    if workers == 1 or count < _WORTH_A_POOL:
        yield from map(write, spans)
        return
    # Spawned, not forked: OpenCV's threads do not survive a fork.
    with multiprocessing.get_context("spawn").Pool(workers, _enlist) as pool:
        yield from pool.imap(write, spans)


def _enlist() -> None:
    cv2.setNumThreads(1)
    # Ctrl-C reaches every process of the group; the parent alone answers it, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _write_span(recipe: Recipe, folder: Path, span: tuple[int, int]) -> list[Row]:
    line = recipe.line()
    return [_write_part(line, folder, line.part(index)) for index in range(*span)]


def _write_part(line: SimulatedLine, folder: Path, part: SimulatedPart) -> Row:
    path = f"{part.label}/{part.part_id}{part.extension}"
    target = folder / path
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(part.encoded)
    return (
        path,
        part.label,
        part.serial,
        part.station.line,
        part.station.station,
        part.captured_at.strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z",
        line.generation.name,
        part.true_label,
        "yes" if part.blurred else "",
        part.corruption or "",
    )


def usable_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0))
