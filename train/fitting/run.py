"""One training run, from a data set to checkpoints: its settings, and the steps in their order.

Nothing here decides: the data set, the split, the recipe and the loop do. What a run works on (device,
threads, memory) is handed in beside the settings, since it is not meant to change the weights.
"""

import csv
import platform
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import cv2
import numpy as np
import torch
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import UsageError, first_line
from optimize.data.dataset import Dataset, open_dataset
from train.data.augment import contact_sheet
from train.data.split import Split, split_dataset
from train.data.stream import ImageStore, Quarantined, open_again, open_images
from train.errors import DatasetError, RunError
from train.fitting import backbones, batch_norm
from train.fitting.history import Epoch
from train.fitting.loop import CHECKPOINT_EVERY_S, run_epochs
from train.fitting.machine import Machine
from train.fitting.ranks import ALONE, Ranks, shared_run
from train.fitting.recipe import Recipe
from train.fitting.record import (
    AmpDtype,
    Counts,
    RunRecord,
    Settings,
    read_record,
    resolve_ok_labels,
    write_record,
)
from train.fitting.task import Task
from train.run_folder import RunFolder
from train.written_aside import write_csv, written_aside

_RECORDED = ("torch", "timm", "numpy", "opencv-python-headless", "scikit-learn", "edge-inspect")


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a run works on."""

    device: str = "auto"
    """`auto`, `cpu`, `cuda`, `cuda:1`, ...; auto takes a GPU where there is one."""
    workers: int = 2
    """Threads that decode and augment."""
    cache_bytes: int = 4 << 30
    """Memory for decoded images."""
    checkpoint_every_s: float = CHECKPOINT_EVERY_S
    """Time between checkpoints within an epoch, seconds."""

    def machine(
        self,
        *,
        amp: bool,
        amp_dtype: AmpDtype | None = None,
        torchcompile: bool = False,
        ranks: Ranks = ALONE,
    ) -> Machine:
        """Threads started, device and number format chosen; raises UsageError for what the device does
        not have."""
        name = self.device
        if name == "auto":
            name = "cuda" if torch.cuda.is_available() else "cpu"
        if name == "cuda" and not ranks.alone:
            name = f"cuda:{ranks.local}"
        try:
            device = torch.device(name)
            torch.empty(1, device=device)
        except (RuntimeError, AssertionError) as exc:
            raise UsageError(
                f"--device {self.device}: not on this machine; take auto or cpu"
            ) from exc
        # The streams' threads work in parallel already; OpenCV's own would only get in their way.
        cv2.setNumThreads(1)
        if torchcompile:
            _require_compiler(device)
        return Machine(
            device=device,
            amp=amp,
            amp_dtype=getattr(torch, amp_dtype or _best_dtype(device)),
            compiled=torchcompile,
            ranks=ranks,
            workers=ThreadPoolExecutor(self.workers, thread_name_prefix="images"),
        )


def run(
    settings: Settings,
    folder: RunFolder,
    means: Means,
    *,
    resume: bool,
    command: str,
    say: Callable[[str], None],
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Start a run in `folder`, or finish the one that is there; returns its epochs.

    `say` gets a line for each step that a person would want to know of, `report` each finished epoch.
    Of the processes that `torchrun` started, all call this and share the run; the leader alone writes
    and speaks, and the others return nothing.
    """
    with shared_run() as ranks:
        epochs = _run(
            settings,
            folder,
            means,
            ranks,
            resume=resume,
            command=command,
            say=say if ranks.leads else _say_nothing,
            report=report,
        )
    return epochs if ranks.leads else []


def _run(
    settings: Settings,
    folder: RunFolder,
    means: Means,
    ranks: Ranks,
    *,
    resume: bool,
    command: str,
    say: Callable[[str], None],
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    size = InputSpec(height=settings.recipe.img_size, width=settings.recipe.img_size)
    dataset, frozen = read_data(settings)
    images = _open(dataset, size, means, ranks, _quarantined_before(folder) if resume else None)
    say(_describe(images, settings))
    split = sides(settings, images, frozen)
    task = Task(
        images=images,
        split=split,
        ok_labels=resolve_ok_labels(settings.ok_labels, images.dataset.labels),
        recipe=settings.recipe,
        augmentation=settings.augmentation,
        target=_target(settings, size, means),
    )
    if task.target:
        say(
            f"{settings.bn_dir}: {len(task.target)} unlabelled images for batch norm; "
            f"{len(task.target.quarantined)} could not be decoded"
        )
    machine = means.machine(**settings.precision, ranks=ranks)
    if not ranks.alone:
        say(_company(ranks, machine))
    with machine.workers:
        network = new_network(settings.model, settings.recipe, len(images.dataset.labels))
        if settings.recipe.bn_images and not batch_norm.norms(network):
            raise UsageError(f"--bn-images: {settings.model} has no batch norm; leave the flag out")
        if resume:
            _require_same_data(folder, task)
        elif ranks.leads:
            origin = backbones.load_initial(
                network, settings.model, settings.initial_weights, images.dataset.labels
            )
            say(
                f"{settings.model} from {origin}; {len(split.train)} images teach, "
                f"{len(split.validation)} validate"
            )
            folder.create()
            _write_data_files(folder, task)
            write_record(folder, _record(settings, task, machine, origin, command))
        return run_epochs(
            network,
            task,
            folder,
            machine,
            resume=resume,
            report=report,
            checkpoint_every_s=means.checkpoint_every_s,
        )


def _best_dtype(device: torch.device) -> AmpDtype:
    """bfloat16 needs no scaled gradients, but GPUs before Ampere only imitate it."""
    if device.type == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        return "float16"
    return "bfloat16"


def _require_compiler(device: torch.device) -> None:
    """Compile something small; raises UsageError where that fails."""
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except RuntimeError as exc:
        raise UsageError(
            f"--torchcompile: cannot compile on this machine ({first_line(exc)}); install a "
            "C++ compiler, or leave the flag out"
        ) from exc


def read_data(settings: Settings) -> tuple[Dataset, Split | None]:
    """The data set, and which image stands where if that was frozen."""
    if settings.split is None:
        return settings.source.read(), None
    return settings.split.read(settings.source.root).teaching()


def _open(
    dataset: Dataset,
    size: InputSpec,
    means: Means,
    ranks: Ranks,
    undecodable: frozenset[str] | None,
) -> ImageStore:
    """The leader looks at every image, with the threads of all on its machine, which wait for it; then
    each of them fills a cache of its own."""
    found: list[ImageStore] = []

    def look() -> tuple[tuple[Quarantined, ...], str]:
        images = open_images(
            dataset,
            size,
            workers=means.workers * ranks.local_count,
            memory_limit=means.cache_bytes,
            undecodable=undecodable,
        )
        found.append(images)
        return images.quarantined, images.sha256

    quarantined, sha256 = ranks.tell(look)
    if found:
        return found[0]
    return open_again(
        dataset,
        size,
        workers=means.workers,
        memory_limit=means.cache_bytes,
        quarantined=quarantined,
        sha256=sha256,
    )


def _company(ranks: Ranks, machine: Machine) -> str:
    statistics = (
        "batch norm takes its statistics over all of them"
        if machine.device.type == "cuda"
        else "batch norm takes each one's own statistics and keeps the first one's: no CPU shares them"
    )
    return f"{ranks.count} processes share each batch; {statistics}"


def _say_nothing(_line: str) -> None:
    pass


def _quarantined_before(folder: RunFolder) -> frozenset[str] | None:
    """What the start of the run could not decode: with the same content it need not be tried again."""
    try:
        with folder.quarantine.open(encoding="utf-8", newline="") as file:
            return frozenset(row["path"] for row in csv.DictReader(file))
    except (OSError, KeyError, csv.Error):
        return None


def sides(settings: Settings, images: ImageStore, frozen: Split | None) -> Split:
    """Who teaches and who validates: as it was frozen, else by a draw; raises DatasetError."""
    if frozen is None:
        return split_dataset(images.dataset, share=settings.val_split, seed=settings.recipe.seed)
    if images.quarantined:
        bad = images.quarantined[0]
        raise DatasetError(
            f"{bad.path} could be decoded when the split was frozen, now: {bad.reason}; install the "
            "version that froze it, or make a new split"
        )
    return frozen


def new_network(model: str, recipe: Recipe, classes: int) -> nn.Module:
    """The backbone with the random weights of the recipe's seed and its momentum of batch norm, for all
    sizes that the recipe shows."""
    sides = sorted({recipe.side(0), recipe.img_size})
    torch.manual_seed(recipe.seed)
    sizes = [InputSpec(height=side, width=side) for side in sides]
    network = backbones.build(model, classes, sizes, drop_path=recipe.drop_path)
    if recipe.bn_momentum is not None:
        batch_norm.set_momentum(network, recipe.bn_momentum)
    return network


def _describe(images: ImageStore, settings: Settings) -> str:
    counts = ", ".join(f"{label} {count}" for label, count in images.dataset.counts.items())
    bad, unlabelled = len(images.quarantined), len(images.dataset.unlabelled)
    beside = f"{unlabelled} lie beside the class folders and " if unlabelled else ""
    return (
        f"{settings.source.data_dir}: {len(images)} images ({counts}); {beside}"
        f"{bad} could not be decoded{' and are listed in quarantine.csv' if bad + unlabelled else ''}"
    )


def _target(settings: Settings, size: InputSpec, means: Means) -> ImageStore | None:
    """The unlabelled images for batch norm: some of the folder's, drawn by the seed."""
    if settings.bn_dir is None:
        return None
    found = open_dataset(settings.bn_dir)
    random = np.random.default_rng(settings.recipe.seed)
    drawn = sorted(random.permutation(len(found.samples))[: settings.recipe.bn_images].tolist())
    unlabelled = [replace(found.samples[index], label="") for index in drawn]
    return open_images(
        Dataset(root=found.root, samples=tuple(unlabelled)),
        size,
        workers=means.workers,
        memory_limit=means.cache_bytes,
    )


def _require_same_data(folder: RunFolder, task: Task) -> None:
    record = read_record(folder)
    for store, stored in ((task.images, record.data_sha256), (task.target, record.bn_sha256)):
        if store is not None and stored != store.sha256:
            raise RunError(
                f"the data changed since {folder.path} was started (sha256 {store.sha256[:12]}, then "
                f"{str(stored)[:12]}): put it back, or start a new run"
            )


def _record(
    settings: Settings, task: Task, machine: Machine, origin: str, command: str
) -> RunRecord:
    samples = task.images.dataset.samples
    taught = Counter(samples[index].label for index in task.split.train)
    held_back = Counter(samples[index].label for index in task.split.validation)
    return RunRecord(
        started_at=datetime.now(UTC),
        command=command,
        settings=settings,
        labels=task.images.dataset.labels,
        ok_labels=task.ok_labels,
        initial_weights=origin,
        data_name=settings.source.data_dir.name,
        data_sha256=task.images.sha256,
        bn_sha256=task.target and task.target.sha256,
        images={
            label: Counts(train=taught[label], validation=held_back[label])
            for label in task.images.dataset.labels
        },
        quarantined=len(task.images.quarantined) + len(task.images.dataset.unlabelled),
        device=str(machine.device),
        threads=torch.get_num_threads(),
        versions={"python": platform.python_version()} | {n: version(n) for n in _RECORDED},
    )


def _left_out(task: Task) -> list[tuple[str, str, str]]:
    """Path, label and reason of every image that the run was pointed at and cannot use."""
    rows = [
        (path, "", "no label: it lies beside the class folders")
        for path in task.images.dataset.unlabelled
    ]
    rows += [(bad.path, bad.label, bad.reason) for bad in task.images.quarantined]
    if task.target is not None:
        root = task.target.dataset.root
        rows += [
            (str(root / bad.path), "", f"for batch norm: {bad.reason}")
            for bad in task.target.quarantined
        ]
    return rows


def _write_data_files(folder: RunFolder, task: Task) -> None:
    dataset = task.images.dataset
    write_csv(
        folder.quarantine,
        ("path", "label", "reason"),
        _left_out(task),
    )
    write_csv(
        folder.split,
        ("path", "label", "group", "side"),
        [
            (sample.path, sample.label, sample.group, side)
            for sample, side in zip(dataset.samples, task.split.sides(), strict=True)
        ],
    )
    if task.augmentation is None:
        return
    rows = []
    for label in dataset.labels:
        first = next(i for i in task.split.train if dataset.samples[i].label == label)
        random = np.random.default_rng((task.recipe.seed, first))
        image = task.images[first]
        rows.append([image, *(task.augmentation.apply(image, random) for _ in range(7))])
    _, png = cv2.imencode(".png", cv2.cvtColor(contact_sheet(rows), cv2.COLOR_RGB2BGR))
    with written_aside(folder.sheet) as aside:
        aside.write_bytes(png.tobytes())
