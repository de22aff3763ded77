"""The steps of a refresh in their order: enlarge the split, teach on, choose the rule, compare, decide.

Owns the folder and what makes it resumable: every step leaves its outcome there, under its name only
when it is whole, and a step whose outcome is there is not done again. What each step means is the
business of `train.data.enlarge`, `train.fitting`, `train.decision` and `train.refresh.judgement`. No
sealed image is opened. There is a `candidate.onnx` only where everything that was agreed is shown.
"""

import hashlib
import platform
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tqdm import tqdm

from edge_runtime.engines.catalogue import open_engine
from optimize.data.dataset import Dataset
from optimize.graph import FloatModel, read_model
from train.contract_file import write_contract
from train.data.enlarge import Shares, enlarge, newcomers
from train.data.frozen_split import Enlargement, FrozenSplit, read_split
from train.data.manifest import Source
from train.decision import calibration
from train.decision.decide import Requirement
from train.errors import RunError, SealError
from train.evidence.examine import Examined, examine
from train.export import export_run
from train.fitting import run as training
from train.fitting.history import Epoch
from train.fitting.recipe import Recipe
from train.fitting.record import RunRecord, Settings, read_record
from train.fitting.run import Means
from train.fitting.validation import answer
from train.refresh.agreement import Agreement
from train.refresh.judgement import Exam, judge, recalls
from train.refresh.record import Plan, Refresh, keep_plan, read_refresh
from train.run_folder import RunFolder

_RECORDED = ("torch", "timm", "numpy", "onnxruntime", "edge-inspect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is asked of a refresh."""

    current: RunFolder
    """The run that the model on the line was exported from."""
    model: Path
    """That ONNX file."""
    split: Path | None
    """The split that the run was taught from, if it was moved; None takes it from where it was."""
    labels: Source
    """The new labels."""
    shares: Shares
    recipe: Recipe
    requirement: Requirement
    agreement: Agreement
    request: str | None
    """Id of the retrain request that is answered."""
    cause: str | None
    """Why, in the request's words."""
    command: str


@dataclass(frozen=True, slots=True)
class RefreshFolder:
    """Paths within the folder of a refresh."""

    path: Path

    @property
    def plan(self) -> Path:
        """What was agreed."""
        return self.path / "plan.json"

    @property
    def split(self) -> Path:
        """The enlarged split."""
        return self.path / "split"

    @property
    def run(self) -> RunFolder:
        """The run that teaches on."""
        return RunFolder(path=self.path / "run")

    @property
    def examined(self) -> Path:
        """The run's model while it is judged: nothing that may go on a line."""
        return self.path / ".examined.onnx"

    @property
    def candidate(self) -> Path:
        """The model that was accepted."""
        return self.path / "candidate.onnx"

    @property
    def record(self) -> Path:
        """What was found."""
        return self.path / "refresh.json"

    @property
    def page(self) -> Path:
        """The same for people."""
        return self.path / "refresh.html"


def softened(recipe: Recipe) -> Recipe:
    """The recipe of a refresh: a third of the epochs and of the rate, all layers from the start."""
    epochs = max(1, -(-recipe.epochs // 3))
    return replace(
        recipe,
        epochs=epochs,
        full_size_epochs=min(recipe.full_size_epochs, epochs),
        freeze_epochs=0,
        unfreeze_epochs=0,
        warmup_epochs=min(recipe.warmup_epochs, 1),
        lr=recipe.lr * 0.3,
        min_lr=min(recipe.min_lr, recipe.lr * 0.3),
    )


def refresh(
    order: Order,
    folder: RefreshFolder,
    means: Means,
    *,
    say: Callable[[str], None],
    report: Callable[[Epoch], None],
) -> tuple[Refresh, Exam | None]:
    """Carry out what is not done yet; returns what was found, and the answers if they were given now.

    Raises RunError where the folder holds a refresh of another plan or the model is not of the run,
    SealError where new labels would leak the sealed test or the run has no frozen split, and whatever
    its steps raise; what is finished stays.
    """
    record = read_record(order.current)
    current = _current_model(order)
    before = _split_before(order, record)
    _create(folder)
    plan = keep_plan(folder.plan, _plan(order, current, before))
    found = read_refresh(folder.record)
    if found is not None:
        say(f"{folder.record}: finished {found.finished_at:%Y-%m-%d %H:%M} UTC")
        return found, None
    split = _enlarged(order, folder, before, say)
    epochs = training.run(
        _settings(order, record, split),
        folder.run,
        means,
        resume=folder.run.record.exists(),
        command=order.command,
        say=say,
        report=report,
    )
    _calibrate(order, folder, means, say)
    folder.candidate.unlink(missing_ok=True)
    export_run(folder.run, folder.examined, means, command=order.command)
    exam = _exam(current, read_model(folder.examined), split, newcomers(split, before))
    findings = judge(exam, order.agreement)
    accepted = all(finding.met for finding in findings)
    candidate_sha256 = _sha256(folder.examined) if accepted else None
    if accepted:
        folder.examined.replace(folder.candidate)
    else:
        folder.examined.unlink()
    made = Refresh(
        finished_at=datetime.now(UTC),
        plan=plan,
        labels=current.spec.labels,
        split_sha256=split.record.sha256,
        enlargement=_enlargement(split),
        images={
            label: counts.model_dump() for label, counts in sorted(split.record.images.items())
        },
        accepted=accepted,
        candidate_sha256=candidate_sha256,
        findings=findings,
        recalls=recalls(exam),
        epochs=len(epochs),
        seconds=round(sum(epoch.seconds for epoch in epochs), 1),
        versions={"python": platform.python_version()} | {n: version(n) for n in _RECORDED},
    )
    write_contract(folder.record, made)
    return made, exam


def _create(folder: RefreshFolder) -> None:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise RunError(f"cannot make {folder.path}: {exc.strerror}") from exc


def _current_model(order: Order) -> FloatModel:
    model = read_model(order.model)
    weights = calibration.weights_sha256(order.current)
    exported = model.spec.provenance.get("weights_sha256")
    if exported != weights:
        raise RunError(
            f"{order.model} was not exported from {order.current.path} (weights sha256 "
            f"{str(exported)[:12]}, the run's {weights[:12]}): a refresh teaches on what is on the "
            "line, so name the run and the model that belong together"
        )
    return model


def _split_before(order: Order, record: RunRecord) -> FrozenSplit:
    reference = record.settings.split
    if reference is None:
        raise SealError(
            f"{order.current.path} was taught without a frozen split, so nobody can say which of its "
            "images are a test: freeze one (train split) and teach from it (train fit --split)"
        )
    if order.split is not None:
        reference = replace(reference, folder=order.split)
    return reference.read(record.settings.source.root)


def _plan(order: Order, current: FloatModel, before: FrozenSplit) -> Plan:
    return Plan(
        made_at=datetime.now(UTC),
        command=order.command,
        current_run=order.current.path.resolve(),
        current_weights_sha256=calibration.weights_sha256(order.current),
        current_model_sha256=current.sha256,
        split_sha256=before.record.sha256,
        labels=order.labels,
        labels_sha256=_rows_sha256(order.labels.read()),
        request=order.request,
        cause=order.cause,
        shares=order.shares,
        recipe=order.recipe,
        requirement=order.requirement,
        agreement=order.agreement,
    )


def _enlarged(
    order: Order, folder: RefreshFolder, before: FrozenSplit, say: Callable[[str], None]
) -> FrozenSplit:
    """The enlarged split, made now or by an earlier start."""
    if folder.split.exists():
        split = read_split(folder.split)
        if _enlargement(split).of_sha256 != before.record.sha256:
            raise SealError(f"{folder.split} was not made of {before.folder}: choose another --out")
        return split
    with tqdm(desc="opening new images", unit="image", disable=None, leave=False) as bar:
        split = enlarge(
            before,
            order.labels,
            folder.split,
            order.shares,
            seed=order.recipe.seed,
            command=order.command,
            started=bar.reset,
            advanced=bar.update,
        )
    made = _enlargement(split)
    say(
        f"{folder.split}: {made.added} images added to split {before.record.sha256[:12]}, {made.known} "
        f"were known, {made.relabelled} got another label; the sealed test set was not opened"
    )
    return split


def _settings(order: Order, record: RunRecord, split: FrozenSplit) -> Settings:
    return replace(
        record.settings,
        source=split.source,
        split=replace(split.reference, folder=split.folder.resolve()),
        initial_weights=str(order.current.path.resolve()),
        recipe=order.recipe,
    )


def _calibrate(
    order: Order, folder: RefreshFolder, means: Means, say: Callable[[str], None]
) -> None:
    """Choose the decision rule on the validation side, by bounds or, where they fail, by estimates."""
    record = read_record(folder.run)
    held_out = answer(folder.run, record, means)
    made, _ = calibration.calibrate(
        held_out.logits,
        held_out.truth,
        held_out.groups,
        record.labels,
        record.ok_labels,
        order.requirement,
        accept_unmet=True,
        weights_sha256=calibration.weights_sha256(folder.run),
        data_sha256=record.data_sha256,
        command=order.command,
    )
    calibration.write_calibration(folder.run, made)
    say(f"decision rule: {made.reason()}")


def _exam(before: FloatModel, after: FloatModel, split: FrozenSplit, new: frozenset[str]) -> Exam:
    dataset = split.exam()
    if dataset is None:
        raise SealError(f"{split.folder} has no exam: it was not made by a refresh")
    answered = [_answers(model, dataset) for model in (before, after)]
    return Exam(before=answered[0], after=answered[1], new=new)


def _answers(model: FloatModel, dataset: Dataset) -> Examined:
    engine = open_engine("onnxruntime", model.path, model.spec, 1)
    with (
        closing(engine),
        tqdm(
            total=len(dataset.samples), desc="judging", unit="image", disable=None, leave=False
        ) as bar,
    ):
        return examine(engine, model.spec, dataset, advanced=bar.update)


def _enlargement(split: FrozenSplit) -> Enlargement:
    made = split.record.enlargement
    if made is None:
        raise SealError(f"{split.folder} was made of a data set, not by a refresh")
    return made


def _rows_sha256(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for sample in dataset.samples:
        digest.update(f"{sample.path}\0{sample.label}\0{sample.group}\n".encode())
    return digest.hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
