"""What an evaluation says: figures with intervals, criteria, slices, costs, and what all of it is of.

Owns the contract and its counting. JSON of it is what a report reads; the answers one by one are a CSV
file beside it. Which images may be looked at was decided before: `train.cli.evaluate`.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from edge_runtime import policy
from edge_runtime.contracts.base import Contract, Sha256, UtcTime
from edge_runtime.contracts.manifest import DecisionRule
from optimize.bounds import Trials
from optimize.graph import FloatModel
from train.contract_file import read_contract, write_contract
from train.data.ledger import Opening
from train.decision.calibration import thresholds_sha256
from train.errors import RunError
from train.evidence.cost import Cost, Volume, costs
from train.evidence.criteria import Criteria, Finding, both_sides, judge, too_few
from train.evidence.examine import Examined
from train.evidence.slices import Blurred, parts
from train.figures.counts import confusion
from train.figures.intervals import Figure, figures
from train.figures.reliability import ReliabilityBin, reliability
from train.written_aside import write_csv

EVALUATION_SCHEMA: Literal["edge-inspect/evaluation/1"] = "edge-inspect/evaluation/1"
ANSWERS = ("path", "label", "group", "outcome", "answer", "defect_score")
"""Columns of the answers' file."""


class Opened(Contract):
    """How often a sealed test set was opened, this time included."""

    times: int
    models: int
    """Different models that it was opened for."""
    entry_sha256: Sha256
    """Of the ledger's line for this time; the next line refers to it."""

    @classmethod
    def of(cls, openings: Sequence[Opening]) -> "Opened":
        """From all openings, this one last."""
        return cls(
            times=len(openings),
            models=len({opening.model_sha256 for opening in openings}),
            entry_sha256=openings[-1].sha256,
        )

    def sentence(self) -> str:
        """For people."""
        return (
            f"sealed test set: opened {self.times} time{'s' * (self.times > 1)}, for {self.models} "
            f"different model{'s' * (self.models > 1)}, this time included"
        )


class SplitSide(Contract):
    """The part of a frozen split that was looked at."""

    sha256: Sha256
    side: Literal["train", "validation", "test"]
    taught: bool | None
    """Whether the model was taught from this very split; null where it does not say from which."""
    opened: Opened | None
    """Null unless the side is the sealed one."""

    def concern(self) -> str | None:
        """What a reader must know of it."""
        if self.side == "train":
            return "these images taught the model: its figures flatter"
        if self.taught:
            return None
        origin = (
            "does not say from which split it was taught"
            if self.taught is None
            else "was taught from another split"
        )
        return f"the model {origin}: whether it has seen these images is not known"


class DataRecord(Contract):
    """The images that were looked at."""

    name: str
    sha256: Sha256
    """Over path, label, group and bytes of every image."""
    images: int
    groups: int
    undecodable: int
    """Images that were left out."""
    defect_rate: float
    """Share of the images that are defective, as labelled."""
    split: SplitSide | None


class ModelRecord(Contract):
    """The model that answered."""

    name: str
    sha256: Sha256
    labels: tuple[str, ...]
    decision: DecisionRule
    thresholds_sha256: Sha256
    """Of the decision rule, as in the ledger and in `calibration.json`."""
    weights_sha256: Sha256 | None = None
    """Of the run's `best.pth`; null where the model does not say it."""
    engine: str
    threads: int

    @classmethod
    def of(cls, model: FloatModel, *, engine: str, threads: int) -> "ModelRecord":
        """Of an exported model."""
        rule = model.spec.decision
        return cls(
            name=model.path.name,
            sha256=model.sha256,
            labels=model.spec.labels,
            decision=rule,
            thresholds_sha256=thresholds_sha256(rule),
            weights_sha256=model.spec.provenance.get("weights_sha256"),
            engine=engine,
            threads=threads,
        )


class Slice(Contract):
    """Images that have something in common."""

    column: str
    value: str
    images: int
    groups: int
    small: bool
    """Too few images to show the criteria with confidence, even if every answer were right."""
    figures: tuple[Figure, ...]


class Evaluation(Contract):
    """`train evaluate --json`."""

    schema_: Annotated[Literal["edge-inspect/evaluation/1"], Field(alias="schema")] = (
        EVALUATION_SCHEMA
    )
    made_at: UtcTime
    command: str
    model: ModelRecord
    data: DataRecord
    confidence: float
    """Of the intervals, two-sided; of the bounds in `criteria`, one-sided."""
    figures: tuple[Figure, ...]
    criteria: tuple[Finding, ...]
    confusion: tuple[tuple[int, ...], ...]
    """Counts [truth][answer], in the order of the model's labels; a part for review counts as its
    likeliest defect."""
    reliability: tuple[ReliabilityBin, ...]
    slices: tuple[Slice, ...]
    volume: Volume
    costs: tuple[Cost, ...]
    answers: str | None
    """Name of the file with the answers one by one, beside this one."""

    def figure(self, name: str) -> Figure:
        """The figure of that name; raises KeyError where there is none."""
        for figure in self.figures:
            if figure.name == name:
                return figure
        raise KeyError(name)


def evaluate(
    examined: Examined,
    model: ModelRecord,
    *,
    name: str,
    split: SplitSide | None,
    criteria: Criteria,
    confidence: float,
    slices: Sequence[str],
    blurred: Blurred | None,
    modules: int,
    defect_rate: float | None,
    command: str,
    answers: str | None = None,
    advanced: Callable[[int], object] = lambda _slices: None,
) -> Evaluation:
    """Count and bound everything.

    `modules` pass the line each month, `defect_rate` of them defective; None takes that of the images.

    `advanced` is told of each finished part. Raises UsageError for a slice that there is not.
    """
    cut = parts(examined.dataset, slices, blurred)
    whole = _figures(examined, confidence)
    labelled_rate = float(np.mean(~examined.is_good))
    volume = Volume(
        modules=modules, defect_rate=labelled_rate if defect_rate is None else defect_rate
    )
    labels = examined.model.labels
    positions = {label: position for position, label in enumerate(labels)}
    given = np.array([positions[decision.label or ""] for decision in examined.decisions])
    likeliest = examined.shares.argmax(axis=1)
    slices_found = []
    for part in cut:
        some = examined.only(part.images)
        slices_found.append(
            Slice(
                column=part.column,
                value=part.value,
                images=len(part.images),
                groups=len(set(some.groups)),
                small=_too_few(some, criteria, confidence),
                figures=_figures(some, confidence),
            )
        )
        advanced(1)
    return Evaluation(
        made_at=datetime.now(UTC),
        command=command,
        model=model,
        data=DataRecord(
            name=name,
            sha256=examined.data_sha256,
            images=len(examined.truth),
            groups=len(set(examined.groups)),
            undecodable=examined.undecodable,
            defect_rate=labelled_rate,
            split=split,
        ),
        confidence=confidence,
        figures=whole,
        criteria=judge(_figures(examined, both_sides(confidence)), criteria, confidence),
        confusion=tuple(map(tuple, confusion(examined.truth, given, len(labels)).tolist())),
        reliability=reliability(
            examined.shares.max(axis=1).astype(np.float64), likeliest == examined.truth
        ),
        slices=tuple(slices_found),
        volume=volume,
        costs=costs(whole, volume),
        answers=answers,
    )


def write_evaluation(target: Path, made: Evaluation) -> None:
    """Write the JSON file."""
    write_contract(target, made)


def read_evaluation(file: Path) -> Evaluation:
    """Read the JSON file; raises RunError where it is none."""
    try:
        return read_contract(
            Evaluation,
            file,
            fault="is not what train evaluate --json writes, or is of another version",
        )
    except FileNotFoundError as exc:
        raise RunError(f"cannot read {file}: {exc}") from exc


def write_answers(target: Path, examined: Examined) -> None:
    """Write what the model answered, image by image, in the order of the data set."""
    write_csv(target, ANSWERS, _answers(examined))


def _answers(examined: Examined) -> Iterator[tuple[str, ...]]:
    scores = policy.defect_scores(examined.shares, examined.model)
    for sample, decision, score in zip(
        examined.dataset.samples, examined.decisions, scores.tolist(), strict=True
    ):
        yield (
            sample.path,
            sample.label,
            sample.group,
            decision.outcome.value,
            decision.label or "",
            f"{score:.9g}",
        )


def _figures(examined: Examined, confidence: float) -> tuple[Figure, ...]:
    return figures(
        examined.logits, examined.truth, examined.groups, examined.model, confidence=confidence
    )


def _too_few(examined: Examined, criteria: Criteria, confidence: float) -> bool:
    defective, good = (
        Trials.of([group for group, taken in zip(examined.groups, kind, strict=True) if taken])
        for kind in (~examined.is_good, examined.is_good)
    )
    return too_few(defective, good, criteria, confidence)
