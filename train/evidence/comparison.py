"""What `comparison.json` says: how good each start is at each share of the labels, and what it saves.

Owns the contract and its files. The figures come from `train.evidence.learning_curves`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from train.contract_file import read_contract, write_contract
from train.errors import RunError
from train.evidence.arms import Arm
from train.figures.resamples import Estimate
from train.figures.worth import Labels
from train.written_aside import write_csv

COMPARISON_SCHEMA: Literal["edge-inspect/comparison/1"] = "edge-inspect/comparison/1"
FILE, TABLE, CHART = "comparison.json", "comparison.csv", "comparison.svg"


class ComparedArm(Contract):
    """An arm, and what came of its start."""

    arm: Arm
    initial_weights: str
    """Where they came from, in words."""
    initial_sha256: Sha256 | None


class JudgedTrial(Contract):
    """One arm at one share with one seed, all its rounds together."""

    arm: str
    share: float
    seed: int
    images: Mapping[str, float]
    """Images that taught, per class; the mean over the rounds."""
    groups: float
    """Likewise."""
    shown: float
    """Images shown, repetitions counted; likewise."""
    held_up: tuple[str, ...]
    """Classes that the share alone would have left without a group, in any round."""
    seconds: float
    """Of all rounds."""
    figures: Mapping[str, float | None]
    """By name; None where the judged images do not define one."""


class Point(Contract):
    """One arm at one share: a point of its learning curve."""

    arm: str
    share: float
    labels: float
    """Images that taught; the mean over seeds and rounds."""
    figures: Mapping[str, Estimate]
    """Means over the seeds. The interval is over groups of judged images; it does not hold the luck of
    teaching, which `spread` shows."""
    spread: Mapping[str, float | None]
    """Standard deviation over the seeds; None for a single one."""


class Difference(Contract):
    """One arm less another at one share; the same groups drawn and the same seeds averaged for both."""

    arm: str
    rival: str
    share: float
    figures: Mapping[str, Estimate]


class Worth(Contract):
    """How many labels the rival needs to be as good as the arm is with fewer."""

    arm: str
    rival: str
    figure: str
    share: float
    """Of the arm."""
    labels: float
    """Of the arm."""
    needed: Labels
    """Of the rival."""

    @property
    def saved(self) -> float | None:
        """Labels that the arm saves; negative where it needs more than the rival."""
        return None if self.needed.value is None else self.needed.value - self.labels


class Comparison(Contract):
    """`comparison.json`."""

    schema_: Annotated[Literal["edge-inspect/comparison/1"], Field(alias="schema")] = (
        COMPARISON_SCHEMA
    )
    made_at: UtcTime
    command: str
    data_name: str
    data_sha256: Sha256
    """Over path, label, group and bytes of every image that could be decoded."""
    model: str
    labels: tuple[str, ...]
    ok_labels: tuple[str, ...]
    folds: int
    """0: judged on images held back once and for all."""
    taught: Mapping[str, int]
    """Images per class that the whole of the labels is; with folds, of all images."""
    judged: Mapping[str, int]
    """Images per class."""
    judged_groups: int
    shown: int
    """Images that a trial with all labels shows, repetitions counted; the others as many, but for
    rounding."""
    max_false_positives: float
    """That thresholds were chosen within, on other images than they are judged on."""
    confidence: float
    resamples: int
    arms: tuple[ComparedArm, ...]
    trials: tuple[JudgedTrial, ...]
    points: tuple[Point, ...]
    differences: tuple[Difference, ...]
    worths: tuple[Worth, ...]
    notes: tuple[str, ...]
    """What a reader must know: images left out, classes held up, groups that data sets share."""
    device: str
    versions: Mapping[str, str]

    def point(self, arm: str, share: float) -> Point:
        """The point of that arm at that share; raises KeyError."""
        for point in self.points:
            if (point.arm, point.share) == (arm, share):
                return point
        raise KeyError(f"no arm {arm!r} at share {share:g}")

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the labels, ascending."""
        return tuple(sorted({point.share for point in self.points}))


def write_comparison(folder: Path, made: Comparison) -> None:
    """Write `comparison.json` and `comparison.csv`."""
    write_contract(folder / FILE, made)
    rows: list[tuple[object, ...]] = [
        ("point", p.arm, "", p.share, p.labels, name, e.value, e.low, e.high, p.spread[name])
        for p in made.points
        for name, e in p.figures.items()
    ]
    rows += [
        ("difference", d.arm, d.rival, d.share, "", name, e.value, e.low, e.high, "")
        for d in made.differences
        for name, e in d.figures.items()
    ]
    rows += [
        ("labels needed", w.arm, w.rival, w.share, w.labels, w.figure, n.value, n.low, n.high, "")
        for w in made.worths
        for n in [w.needed]
    ]
    header = ("what", "arm", "rival", "share", "labels", "figure", "value", "low", "high", "spread")
    write_csv(folder / TABLE, header, rows)


def read_comparison(folder: Path) -> Comparison:
    """Read `comparison.json`; raises RunError where there is none, or one that does not fit."""
    try:
        return read_contract(Comparison, folder / FILE)
    except FileNotFoundError as exc:
        raise RunError(
            f"{folder} holds no finished comparison: it has no {FILE}; give the folder that "
            "`train compare --out` wrote"
        ) from exc
