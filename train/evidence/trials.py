"""The trials of a comparison: what each teaches, and the answers that it leaves behind.

A trial's folder appears whole or not at all: `logits.npy` and `rows.npy` (which images they answer, as
rows of the comparison's `images.csv`) and `trial.json`. What is there when a comparison is started again
is not taught again; what was made in another way is refused.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field, ValidationError
from torch import nn
from tqdm import tqdm

from edge_runtime.contracts.base import Contract, Sha256
from edge_runtime.errors import first_line
from edge_runtime.written_aside import folder_written_aside
from train.data.shares import Portion
from train.data.split import Split
from train.data.stream import ImageStore
from train.errors import DivergenceError, RunError
from train.evidence.arms import Arm, Start
from train.evidence.exam import Round
from train.fitting import backbones, checkpoint
from train.fitting.loop import learn
from train.fitting.machine import Machine
from train.fitting.prediction import predict
from train.fitting.recipe import Recipe
from train.fitting.run import new_network
from train.fitting.task import Task

TRIAL_SCHEMA: Literal["edge-inspect/trial/1"] = "edge-inspect/trial/1"
_LOGITS, _ROWS, _RECORD, _WEIGHTS = "logits.npy", "rows.npy", "trial.json", "weights.pth"


class TrialRecord(Contract):
    """`trial.json`."""

    schema_: Annotated[Literal["edge-inspect/trial/1"], Field(alias="schema")] = TRIAL_SCHEMA
    arm: Arm
    initial_weights: str
    """Where they came from, in words."""
    initial_sha256: Sha256 | None
    share: float
    seed: int
    fold: int | None
    images: Mapping[str, int]
    """Images that taught, per class."""
    groups: int
    held_up: tuple[str, ...]
    """Classes that the share alone would have left without a group."""
    shown: int
    """Images shown, repetitions counted."""
    seconds: float
    """Of teaching and answering."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One arm at one share of the labels, one seed and one round."""

    arm: Arm
    start: Start
    seed: int
    round: Round
    portion: Portion

    @property
    def name(self) -> str:
        """Also its folder, within that of all trials."""
        fold = "" if self.round.fold is None else f"-fold-{self.round.fold}"
        return f"{self.arm.name}/share-{self.portion.share:g}/seed-{self.seed}{fold}"

    @property
    def recipe(self) -> Recipe:
        """The arm's recipe with the trial's seed. Unless it has a number of its own, an epoch shows as
        many images as it would with the whole of the labels, whatever the share."""
        common = self.arm.recipe
        return replace(common, seed=self.seed, epoch_images=common.drawn(len(self.round.train)))

    @property
    def shown(self) -> int:
        """Images that it shows, repetitions counted."""
        return self.recipe.epochs * self.recipe.shown(len(self.portion.indices))


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What a finished trial left."""

    record: TrialRecord
    rows: npt.NDArray[np.int64]
    logits: npt.NDArray[np.float32]
    """(rows, classes)."""


def read_trial(folder: Path, trial: Trial) -> Answered | None:
    """A finished trial's answers; None where there are none yet.

    Raises RunError where they were made in another way, or are damaged.
    """
    place = folder / trial.name
    try:
        record = TrialRecord.model_validate_json((place / _RECORD).read_text(encoding="utf-8"))
        logits, rows = np.load(place / _LOGITS), np.load(place / _ROWS)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, ValidationError) as exc:
        raise RunError(f"{place} is damaged ({first_line(exc)}): delete it") from exc
    for what, found, wanted in (
        ("start", record.arm.start, trial.arm.start),
        ("initial weights", record.initial_sha256, trial.start.sha256),
        ("recipe", record.arm.recipe, trial.arm.recipe),
        ("augmentation", record.arm.augmentation, trial.arm.augmentation),
        ("images", tuple(rows.tolist()), trial.round.judged),
    ):
        if found != wanted:
            raise RunError(
                f"{place} was made with another {what}: name the arm otherwise, or choose another --out"
            )
    return Answered(record=record, rows=rows, logits=logits)


def run_trial(
    trial: Trial,
    images: ImageStore,
    model: str,
    ok_labels: tuple[str, ...],
    machine: Machine,
    folder: Path,
    bar: tqdm,
    *,
    keep_weights: bool,
) -> None:
    """Teach, answer, and leave the trial's folder. Raises DivergenceError naming the trial."""
    began = time.perf_counter()
    labels = images.dataset.labels
    network = new_network(model, trial.recipe, len(labels))
    origin = backbones.load_initial(network, model, trial.start.initial_weights, labels)
    task = Task(
        images=images,
        split=Split(train=trial.portion.indices, validation=()),
        ok_labels=ok_labels,
        recipe=trial.recipe,
        augmentation=trial.arm.augmentation,
    )
    try:
        average = learn(network, task, machine, bar)
    except DivergenceError as exc:
        raise DivergenceError(f"trial {trial.name}: {exc}") from exc
    logits = predict(average, images, trial.round.judged, images.size, machine)
    samples = [images.dataset.samples[index] for index in trial.portion.indices]
    counts = Counter(sample.label for sample in samples)
    record = TrialRecord(
        arm=trial.arm,
        initial_weights=origin,
        initial_sha256=trial.start.sha256,
        share=trial.portion.share,
        seed=trial.seed,
        fold=trial.round.fold,
        images={label: counts[label] for label in labels},
        groups=len({sample.group for sample in samples}),
        held_up=trial.portion.held_up,
        shown=trial.shown,
        seconds=time.perf_counter() - began,
    )
    _write(folder / trial.name, record, trial, logits, average if keep_weights else None)


def _write(
    place: Path,
    record: TrialRecord,
    trial: Trial,
    logits: npt.NDArray[np.float32],
    network: nn.Module | None,
) -> None:
    with folder_written_aside(
        place,
        error=lambda _place, why: RunError(
            f"cannot write {place}: {why}; finished trials are kept, start again"
        ),
    ) as aside:
        np.save(aside / _LOGITS, logits)
        np.save(aside / _ROWS, np.array(trial.round.judged, np.int64))
        (aside / _RECORD).write_text(record.to_json(indent=2) + "\n", encoding="utf-8")
        if network is not None:
            weights = {name: value.to("cpu") for name, value in network.state_dict().items()}
            torch.save({"format": checkpoint.FORMAT, "weights": weights}, aside / _WEIGHTS)
