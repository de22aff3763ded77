"""From a run folder to its report: the images that it held back are asked about, all else is read.

Owns what is run for a report. What cannot be had becomes a `Missing` with the command that makes it.
`documents` beside it reads the files, `lineage` finds the earlier networks. The sealed test set stays
closed: of it nothing is known but what an evaluation wrote down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from edge_runtime.contracts.manifest import ModelSpec
from train.data.frozen_split import FrozenSplit
from train.data.ledger import Opening
from train.decision import calibration, decide
from train.decision.calibration import Calibration, thresholds_sha256
from train.decision.frontier import Frontier
from train.decision.frontier import trace as trace_frontier
from train.errors import DatasetError, WeightsError
from train.evidence import evaluation, transfer
from train.evidence.criteria import CRITERIA, Criteria
from train.evidence.evaluation import Evaluation, ModelRecord, SplitSide
from train.evidence.examine import Examined
from train.evidence.heatmaps import grid
from train.evidence.transfer import Transfer
from train.fitting.record import RunRecord, read_record
from train.fitting.run import Means
from train.fitting.validation import HeldOut, answer
from train.report import documents, examples, lineage
from train.report.contents import Missing, Report, TaughtEpoch
from train.report.examples import Example
from train.report.exclusions import exclusions
from train.run_folder import RunFolder

RIGHT, WRONG = 3, 3
"""Frames of each class that are shown with their heat maps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a report is to be made of."""

    folder: RunFolder
    title: str | None = None
    data_dir: Path | None = None
    """Where the run's images are now; None: where they were."""
    source_run: RunFolder | None = None
    """The run on the earlier camera; None: the one that this run started from, where it is there."""
    source_data_dir: Path | None = None
    evaluation: Path | None = None
    """What `train evaluate --json` wrote."""
    comparison: Path | None = None
    """What `train compare --out` wrote."""
    audit: Path | None = None
    """What `train audit --out` wrote."""
    split: Path | None = None
    """Where the frozen split is now that the run was taught from; None: where it was."""
    confidence: float = 0.95
    modules_per_month: int = 1_800_000
    defect_rate: float | None = None
    """None: as in the images."""
    command: str = ""


def gather(wanted: Wanted, means: Means, say: Callable[[str], None]) -> Report:
    """Everything that can be known; `say` gets a line for each step that takes a while."""
    folder = wanted.folder
    missing: list[Missing] = []
    record = lineage.moved(read_record(folder), wanted.data_dir)
    # What was named is read before the images are gone through, which takes a while.
    weights_sha256 = calibration.weights_sha256(folder)
    final = documents.final_evaluation(wanted.evaluation, record, weights_sha256, missing)
    compared = documents.comparison(wanted.comparison, record, missing)
    audited = documents.audit(wanted.audit, record, missing)
    split = documents.split(wanted.split, record, missing)
    openings = split.ledger.read() if split else None
    excluded = exclusions(folder, record, split, audited, final)
    epochs, sheet = documents.epochs(folder), documents.sheet(folder, record, missing)
    calibrated = calibration.usable(folder, record.ok_labels) if record.ok_labels else None
    say("asking the network about the images that the run held back")
    held_out = answer(folder, record, means)
    model, rule_from = _model(record, held_out, calibrated, missing)
    say("comparing it with the networks that it came from")
    transferred = _transfer(wanted, record, held_out, means, split, missing)
    say("mapping where its answers are found")
    shown = _examples(held_out, model, missing)
    cells = grid(held_out.network, held_out.images.size) if shown else None
    if not (final and final.slices):
        why = "a run's own list does not say them; name an evaluation of images whose manifest does"
        missing.append(Missing(what="figures by line, station, week and blur", why=why))
    return Report(
        title=wanted.title or f"{folder.path.resolve().name}: what it finds, and why",
        made_at=datetime.now(UTC),
        command=wanted.command,
        record=record,
        weights_sha256=weights_sha256,
        rule_from=rule_from,
        validation=_validation(wanted, record, held_out, model, calibrated, weights_sha256),
        final=final,
        calibration=calibrated,
        frontier=_frontier(held_out, model, calibrated, wanted.confidence, missing),
        epochs=epochs,
        sheet=sheet,
        transfer=transferred,
        examples=shown,
        grid=cells,
        comparison=compared,
        audit=audited,
        exclusions=excluded,
        openings=openings,
        concerns=(
            *_unfinished(record, epochs),
            *_concerns(final, model, openings, calibrated),
        ),
        missing=tuple(missing),
    )


def _model(
    record: RunRecord, held_out: HeldOut, calibrated: Calibration | None, missing: list[Missing]
) -> tuple[ModelSpec, str]:
    """As `train export` would make it, and how its rule was chosen."""
    if calibrated is not None and calibrated.decision is not None:
        rule, rule_from = calibrated.decision, calibrated.reason()
    else:
        rule = decide.choose(
            held_out.logits, held_out.truth, record.labels, record.ok_labels, decide.LIMITS
        )
        rule_from = decide.describe(decide.LIMITS)
        why = "run train calibrate first"
        if not record.ok_labels:
            why = "no class is good, so there are none to choose"
        if calibrated is not None and calibrated.shortfall is not None:
            why = f"train calibrate found none: {calibrated.shortfall.reason}"
        missing.append(Missing(what="thresholds that keep bounds", why=why))
    size = held_out.images.size
    return ModelSpec(labels=record.labels, input=size, decision=rule, provenance={}), rule_from


def _validation(
    wanted: Wanted,
    record: RunRecord,
    held_out: HeldOut,
    model: ModelSpec,
    calibrated: Calibration | None,
    weights_sha256: str,
) -> Evaluation:
    """The held-back images, counted as `train evaluate` counts any others."""
    criteria = CRITERIA
    if calibrated is not None:
        criteria = Criteria(
            min_recall=calibrated.requirement.min_recall,
            max_false_positives=calibrated.requirement.max_false_positives,
        )
    taught_from = record.settings.split
    return evaluation.evaluate(
        Examined(
            model=model,
            dataset=held_out.images.dataset,
            undecodable=len(held_out.images.quarantined),
            data_sha256=held_out.images.sha256,
            logits=held_out.logits,
        ),
        ModelRecord(
            name=wanted.folder.best.name,
            sha256=weights_sha256,
            labels=model.labels,
            decision=model.decision,
            thresholds_sha256=thresholds_sha256(model.decision),
            weights_sha256=weights_sha256,
            engine="torch",
            threads=record.threads,
        ),
        name=record.data_name,
        split=SplitSide(sha256=taught_from.sha256, side="validation", taught=True, opened=None)
        if taught_from
        else None,
        criteria=criteria,
        confidence=wanted.confidence,
        slices=(),  # split.csv knows neither line nor station
        blurred=None,
        modules=wanted.modules_per_month,
        defect_rate=wanted.defect_rate,
        command=wanted.command,
    )


def _frontier(
    held_out: HeldOut,
    model: ModelSpec,
    calibrated: Calibration | None,
    confidence: float,
    missing: list[Missing],
) -> Frontier | None:
    """With the bounds that the calibration asked for, where there is one."""
    labels, rule = model.labels, model.decision
    parts = decide.score(held_out.logits, held_out.truth, held_out.groups, labels, rule)
    if not 0 < parts.is_good.sum() < len(parts.is_good):
        why = "it takes good and defective parts, and the run held back one kind alone"
        missing.append(Missing(what="what other thresholds would find and cost", why=why))
        return None
    return trace_frontier(parts, calibrated.requirement.confidence if calibrated else confidence)


def _transfer(
    wanted: Wanted,
    record: RunRecord,
    held_out: HeldOut,
    means: Means,
    split: FrozenSplit | None,
    missing: list[Missing],
) -> Transfer | None:
    """The finished network beside those that it came from."""
    past = lineage.trace(
        wanted.folder,
        record,
        held_out.images.size,
        means,
        split,
        source_run=wanted.source_run,
        source_data_dir=wanted.source_data_dir,
    )
    missing += past.missing
    if not past.networks:
        return None
    networks = {**past.networks, wanted.folder.path.resolve().name: held_out.network}
    machine = means.machine(amp=False)
    try:
        with machine.workers:
            return transfer.compare(networks, held_out.images, past.images, machine)
    except DatasetError as exc:
        missing.append(Missing(what="what was transferred", why=str(exc)))
        return None


def _unfinished(record: RunRecord, epochs: Sequence[TaughtEpoch]) -> list[str]:
    planned = record.settings.recipe.epochs
    if len(epochs) >= planned:
        return []
    return [f"the run is not finished: {len(epochs)} of {planned} epochs were taught"]


def _concerns(
    final: Evaluation | None,
    model: ModelSpec,
    openings: Sequence[Opening] | None,
    calibrated: Calibration | None,
) -> list[str]:
    found = documents.concerns(final, model, openings) if final else []
    if calibrated is not None and not calibrated.met:
        found.append(
            "the validation images do not show that the thresholds keep what was asked for: train "
            "calibrate did not find any that do"
        )
    return found


def _examples(
    held_out: HeldOut, model: ModelSpec, missing: list[Missing]
) -> dict[str, list[Example]]:
    chosen = examples.choose(held_out.logits, held_out.truth, model, right=RIGHT, wrong=WRONG)
    network, images = held_out.network, held_out.images
    try:
        return {
            label: examples.show(network, images, held_out.logits, model, positions)
            for label, positions in chosen.items()
        }
    except WeightsError as exc:
        missing.append(Missing(what="heat maps", why=str(exc)))
        return {}
