"""What other commands wrote about a run, as a report takes it in.

Owns which files those are and what speaks against believing them. A file that was not named is missing,
with the command that makes it; one that was named and is damaged or of something else is an error.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edge_runtime.contracts.frame import Pixels
from edge_runtime.contracts.manifest import ModelSpec
from train.data.frozen_split import FrozenSplit, SplitReference, read_split
from train.data.ledger import Opening
from train.decision.calibration import thresholds_sha256
from train.errors import RunError, SealError
from train.evidence.comparison import Comparison, read_comparison
from train.evidence.evaluation import Evaluation, read_evaluation
from train.fitting.record import RunRecord
from train.report.audit_summary import AuditSummary, read_audit
from train.report.contents import Missing, TaughtEpoch
from train.run_folder import RunFolder

_SHORT = 12
"""Digits of a hash that name something to people."""


def final_evaluation(
    file: Path | None, record: RunRecord, weights_sha256: str, missing: list[Missing]
) -> Evaluation | None:
    """What `train evaluate --json` wrote; raises RunError where it is of another network."""
    if file is None:
        why = "run train evaluate --split ... --final --json FILE and name it with --evaluation"
        missing.append(Missing(what="figures on images that nothing was chosen by", why=why))
        return None
    made = read_evaluation(file)
    theirs = made.model.weights_sha256
    if made.model.labels != record.labels:
        raise RunError(
            f"{file} is of a model with the classes {', '.join(made.model.labels)} and not "
            f"{', '.join(record.labels)}: name the evaluation of this run's export"
        )
    if theirs is not None and theirs != weights_sha256:
        raise RunError(
            f"{file} is of a model with the weights {theirs[:_SHORT]} and not "
            f"{weights_sha256[:_SHORT]}: name the evaluation of this run's export"
        )
    return made


def concerns(final: Evaluation, model: ModelSpec, openings: Sequence[Opening] | None) -> list[str]:
    """What speaks against taking an evaluation for one of this run."""
    found = []
    if final.model.weights_sha256 is None:
        found.append(
            "the evaluation does not say which weights its model has: whether it is of this run rests "
            "on whoever named it"
        )
    if final.model.thresholds_sha256 != thresholds_sha256(model.decision):
        found.append(
            "the evaluation was made with another decision rule than this run has by now: its figures "
            "and its rule are shown, the validation figures are those of the run's own rule"
        )
    side = final.data.split
    if side is not None:
        concern = side.concern()
        found += [concern] if concern else []
    opened = side and side.opened
    entered = {opening.sha256 for opening in openings or ()}
    if opened and openings is not None and opened.entry_sha256 not in entered:
        found.append(
            "the ledger does not hold the opening that the evaluation states: one of the two is of "
            "another split, or entries were cut off"
        )
    return found


def comparison(folder: Path | None, record: RunRecord, missing: list[Missing]) -> Comparison | None:
    """What `train compare` wrote; raises RunError where it is of other classes."""
    if folder is None:
        why = "run train compare and name its folder with --comparison"
        missing.append(Missing(what="how many labels the earlier camera saves", why=why))
        return None
    made = read_comparison(folder)
    _require_classes(folder, made.labels, record)
    return made


def audit(folder: Path | None, record: RunRecord, missing: list[Missing]) -> AuditSummary | None:
    """What `train audit` wrote; raises RunError where it is of other classes."""
    if folder is None:
        why = "run train audit and name its folder with --audit"
        missing.append(Missing(what="duplicates, blur and likely label errors", why=why))
        return None
    made = read_audit(folder)
    _require_classes(folder, tuple(sorted(made.labels)), record)
    return made


def split(folder: Path | None, record: RunRecord, missing: list[Missing]) -> FrozenSplit | None:
    """The frozen split that the run was taught from, at `folder` where it was moved.

    Raises SealError where there is another one. None for a run that was not taught from any.
    """
    reference, root = record.settings.split, record.settings.source.root
    if reference is None:
        if folder is not None:
            raise SealError(
                f"--split {folder}: the run was not taught from a frozen split, so that nobody knows "
                "whether it has seen the test images; leave the flag out"
            )
        why = "the run was not taught from a frozen split; make one with train split"
        missing.append(Missing(what="how often the test set was opened", why=why))
        return None
    if folder is not None:
        read_split(folder)
        return SplitReference(folder=folder, sha256=reference.sha256).read(root)
    if not reference.folder.exists():
        why = f"{reference.folder} is not there; say where the split is with --split"
        missing.append(Missing(what="how often the test set was opened", why=why))
        return None
    return reference.read(root)


def epochs(folder: RunFolder) -> tuple[TaughtEpoch, ...]:
    """The training curve of `metrics.csv`; raises RunError where there is none."""
    try:
        with folder.metrics.open(encoding="utf-8", newline="") as file:
            return tuple(
                TaughtEpoch(
                    epoch=int(row["epoch"]),
                    loss=float(row["loss"]),
                    reachable_f1=float(row["reachable_f1"]),
                    macro_f1=float(row["macro_f1"]),
                )
                for row in csv.DictReader(file)
            )
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as exc:
        raise RunError(f"cannot read {folder.metrics}: {exc}") from exc


def sheet(folder: RunFolder, record: RunRecord, missing: list[Missing]) -> Pixels | None:
    """`augmentation.png`, (height, width, 3) uint8; None where nothing was augmented."""
    if record.settings.augmentation is None:
        return None
    there = folder.sheet.is_file()
    image = cv2.imread(str(folder.sheet), cv2.IMREAD_COLOR_RGB) if there else None
    if image is None:
        why = f"{folder.sheet.name} is not in the run folder, or cannot be decoded"
        missing.append(Missing(what="examples of the augmentation", why=why))
        return None
    return np.asarray(image, dtype=np.uint8)


def _require_classes(folder: Path, labels: Sequence[str], record: RunRecord) -> None:
    if tuple(labels) != record.labels:
        raise RunError(
            f"{folder} is of the classes {', '.join(labels)} and not {', '.join(record.labels)}: "
            "name the one on this run's data"
        )
