"""The training loop: epochs, averaged weights, validation, checkpoints.

Carries out a `Recipe` on a network and images that others made. Every epoch starts from its own seed and
ends with a checkpoint, so a run that was interrupted goes on to the very weights of one that was not (on
one machine, with one number of threads). One thread; the streams' workers touch pixels only.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec, ModelSpec
from train.data.augment import Augmentation
from train.data.split import Split
from train.data.stream import BatchStream, ImageStore
from train.decision import decide
from train.errors import DivergenceError, RunError
from train.figures.counts import Metrics, measure, reachable_f1
from train.fitting import backbones, checkpoint
from train.fitting.recipe import Recipe, draw_epoch, drawing_shares
from train.run_folder import RunFolder
from train.written_aside import write_csv


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be learned."""

    images: ImageStore
    split: Split
    ok_labels: tuple[str, ...]
    recipe: Recipe
    augmentation: Augmentation | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What it runs on; none of it is meant to change the result."""

    device: torch.device
    amp: bool
    """bfloat16 autocast: for GPUs and for CPUs with AMX; slower on others."""
    workers: ThreadPoolExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """One row of `metrics.csv`. Validation figures are the averaged weights', at the rule that
    `train.decision.decide` would choose."""

    epoch: int
    """From 1."""
    side: int
    """Of the images taught and validated, pixels."""
    lr: float
    """At its last step."""
    loss: float
    """Mean over the training images."""
    images_per_s: float
    loader_share: float
    """Share of the training time in which the network waited for pixels."""
    seconds: float
    """Training and validation together."""
    reachable_f1: float
    """Macro F1 at the threshold that suits these images best: what epochs are ranked by."""
    macro_f1: float
    defect_recall: float | None
    false_positive_rate: float | None
    review_rate: float
    recall: Mapping[str, float | None]
    best: bool
    """Whether `best.pth` held this epoch at its time; never before the images have full size."""

    def row(self) -> dict[str, object]:
        """As columns, the recall of each class in its own."""
        row = asdict(self)
        recall = row.pop("recall")
        return row | {f"recall_{label}": value for label, value in recall.items()}


class Average:
    """Exponential moving average of a network's weights and statistics."""

    def __init__(self, network: nn.Module) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(requires_grad=False)

    @torch.no_grad()
    def update(self, network: nn.Module, decay: float) -> None:
        """Move by `1 - decay` towards the network; counters are taken over."""
        mine, theirs = self.network.state_dict(), network.state_dict()
        real = [name for name, value in mine.items() if value.is_floating_point()]
        torch._foreach_lerp_([mine[n] for n in real], [theirs[n] for n in real], 1 - decay)
        for name in mine.keys() - set(real):
            mine[name].copy_(theirs[name])


def run_epochs(
    network: nn.Module,
    task: Task,
    folder: RunFolder,
    machine: Machine,
    *,
    resume: bool,
    report: Callable[[Epoch], None],
) -> list[Epoch]:
    """Train `network` in place; returns all epochs, `report`ing each new one once it is saved.

    Raises DivergenceError when the loss is no longer finite, RunError when a checkpoint cannot be read
    or written. Whatever ends it early, Ctrl-C included, leaves the last finished epoch's checkpoint.
    """
    recipe = task.recipe
    network.to(machine.device)
    average = Average(network)
    optimizer = _optimizer(network, recipe)
    history: list[Epoch] = []
    if resume:
        history = _restore(folder, network, average, optimizer, machine.device)
    for epoch in range(len(history), recipe.epochs):
        began = time.perf_counter()
        torch.manual_seed(recipe.seed * 1_000_003 + epoch)
        kept = f"{folder.last} holds epoch {epoch}" if epoch else "no epoch was finished"
        with _epoch_bar(recipe, epoch, len(task.split.train)) as bar:
            taught = _teach(network, average, optimizer, task, machine, epoch, kept, bar)
        side = recipe.side(epoch)
        metrics, reachable = validate(average.network, task, machine, _size(side))
        # Figures at a smaller size say nothing about the size that the model will be used at: batch
        # norm has seen other statistics. Measured: 0.23 at 256 px from 160 px, 0.92 an epoch later.
        rivals = [past.reachable_f1 for past in history if past.side == recipe.img_size]
        best = side == recipe.img_size and reachable >= max(rivals, default=0.0)
        history.append(
            Epoch(
                epoch=epoch + 1,
                side=side,
                lr=optimizer.param_groups[0]["lr"],
                loss=taught.loss,
                images_per_s=taught.images / taught.seconds,
                loader_share=taught.waited_s / taught.seconds,
                seconds=time.perf_counter() - began,
                reachable_f1=reachable,
                macro_f1=metrics.macro_f1,
                defect_recall=metrics.defect_recall,
                false_positive_rate=metrics.false_positive_rate,
                review_rate=metrics.review_rate,
                recall=metrics.recall,
                best=best,
            )
        )
        _save(folder, network, average, optimizer, history)
        report(history[-1])
    return history


def learn(network: nn.Module, task: Task, machine: Machine, bar: tqdm) -> nn.Module:
    """Carry out the whole recipe on `network`; returns the averaged network at its end.

    For trials that are judged elsewhere: no look at the validation side, no choice of an epoch, no file.
    `bar` is moved on by each image shown. Raises DivergenceError.
    """
    network.to(machine.device)
    average = Average(network)
    optimizer = _optimizer(network, task.recipe)
    for epoch in range(task.recipe.epochs):
        torch.manual_seed(task.recipe.seed * 1_000_003 + epoch)
        _teach(network, average, optimizer, task, machine, epoch, "nothing of it was kept", bar)
    return average.network


def predict(
    network: nn.Module,
    images: ImageStore,
    indices: Sequence[int],
    size: InputSpec,
    machine: Machine,
) -> npt.NDArray[np.float32]:
    """Logits (len(indices), classes) of a network in eval mode."""
    stream = BatchStream(
        store=images, order=indices, batch_size=32, size=size, pool=machine.workers
    )
    network.eval()
    with torch.inference_mode():
        rows = [_forward(network, batch.frames, size, machine).cpu().numpy() for batch in stream]
    return np.concatenate(rows)


def classes_of(images: ImageStore, indices: Sequence[int]) -> npt.NDArray[np.int64]:
    """True classes (len(indices),) as positions in the labels."""
    positions = {label: position for position, label in enumerate(images.dataset.labels)}
    return np.array([positions[images.dataset.samples[i].label] for i in indices], np.int64)


def validate(
    network: nn.Module, task: Task, machine: Machine, size: InputSpec
) -> tuple[Metrics, float]:
    """Figures on the validation side at that size, at the rule chosen there; and `reachable_f1`."""
    labels = task.images.dataset.labels
    truth = classes_of(task.images, task.split.validation)
    logits = predict(network, task.images, task.split.validation, size, machine)
    if not np.isfinite(logits).all():
        raise DivergenceError(
            "the averaged weights answer with NaN or infinity: start anew with a lower --lr"
        )
    rule = decide.choose(logits, truth, labels, task.ok_labels, decide.LIMITS)
    model = ModelSpec(labels=labels, input=size, decision=rule, provenance={})
    return measure(logits, truth, model), reachable_f1(logits, truth, model)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taught:
    loss: float
    images: int
    seconds: float
    waited_s: float


def _teach(
    network: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    task: Task,
    machine: Machine,
    epoch: int,
    kept: str,
    bar: tqdm,
) -> _Taught:
    """One epoch over the training side; `kept` says what a divergence leaves."""
    recipe = task.recipe
    size = _size(recipe.side(epoch))
    stream, shares = _stream(task, machine, epoch, size)
    steps = math.ceil(len(stream.order) / recipe.batch_size)
    _set_learning(network, frozen=recipe.frozen(epoch))
    # A class that nothing teaches is kept out of the loss: its part of the head stays as it came.
    columns = np.flatnonzero(shares)
    shift = recipe.logit_adjustment * np.log(shares[columns])
    taught = torch.from_numpy(columns).to(machine.device)
    offset = torch.from_numpy(shift.astype(np.float32)).to(machine.device)
    total, shown = 0.0, 0
    began = time.perf_counter()
    for place, batch in enumerate(stream):
        step = epoch * steps + place
        rate = recipe.learning_rate(step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = _forward(network, batch.frames, size, machine)[:, taught] + offset
        classes = torch.from_numpy(np.searchsorted(columns, batch.classes)).to(machine.device)
        loss = functional.cross_entropy(logits, classes, label_smoothing=recipe.smoothing)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DivergenceError(
                f"the loss became {value} in epoch {epoch + 1}, step {place + 1} of {steps} "
                f"(learning rate {rate:.2g}); {kept}: start a new run with a lower --lr or more "
                "--warmup-epochs"
            )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        average.update(network, recipe.ema_decay(step))
        total += value * len(classes)
        shown += len(classes)
        bar.update(len(classes))
        bar.set_postfix(loss=f"{total / shown:.3f}", refresh=False)
    return _Taught(
        loss=total / shown,
        images=shown,
        seconds=time.perf_counter() - began,
        waited_s=stream.waited_s,
    )


def _epoch_bar(recipe: Recipe, epoch: int, images: int) -> tqdm:
    return tqdm(
        total=recipe.shown(images),
        desc=f"epoch {epoch + 1}/{recipe.epochs} at {recipe.side(epoch)} px",
        unit="image",
        disable=None,
        leave=False,
    )


def _stream(
    task: Task, machine: Machine, epoch: int, size: InputSpec
) -> tuple[BatchStream, npt.NDArray[np.float64]]:
    """The epoch's training images, and the share of them that each class has; 0 where it has none."""
    recipe = task.recipe
    classes = classes_of(task.images, task.split.train)
    counts = np.bincount(classes, minlength=len(task.images.dataset.labels))
    shares = drawing_shares(counts.tolist(), recipe.sampling_power)
    random = np.random.default_rng((recipe.seed, epoch))
    order = np.asarray(task.split.train)[draw_epoch(classes, shares, random)]
    stream = BatchStream(
        store=task.images,
        order=order[: recipe.shown(len(order))].tolist(),
        batch_size=recipe.batch_size,
        size=size,
        pool=machine.workers,
        augmentation=task.augmentation,
        seed=recipe.seed,
        epoch=epoch,
    )
    return stream, shares


def _forward(
    network: nn.Module, frames: npt.NDArray[np.uint8], size: InputSpec, machine: Machine
) -> Tensor:
    pixels = backbones.normalise(torch.from_numpy(frames).to(machine.device), size)
    with torch.autocast(machine.device.type, torch.bfloat16, enabled=machine.amp):
        logits: Tensor = network(pixels)
    return logits.float()


def _size(side: int) -> InputSpec:
    return InputSpec(height=side, width=side)


def _set_learning(network: nn.Module, *, frozen: bool) -> None:
    """Let everything learn, or the head alone; a frozen backbone keeps its batch statistics too."""
    network.train(mode=not frozen)
    network.requires_grad_(requires_grad=not frozen)
    backbones.head(network).train().requires_grad_(requires_grad=True)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW; vectors (biases, norms) are not decayed."""
    matrices = [value for value in network.parameters() if value.ndim > 1]
    vectors = [value for value in network.parameters() if value.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": recipe.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def _save(
    folder: RunFolder,
    network: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    history: Sequence[Epoch],
) -> None:
    """Write best, metrics and last, in this order: what `last` says happened has been written."""
    if history[-1].best:
        checkpoint.save(
            folder.best,
            {
                "epoch": history[-1].epoch,
                "reachable_f1": history[-1].reachable_f1,
                "weights": average.network.state_dict(),
            },
        )
    write_csv(folder.metrics, list(history[0].row()), [list(e.row().values()) for e in history])
    checkpoint.save(
        folder.last,
        {
            "network": network.state_dict(),
            "average": average.network.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": [asdict(epoch) for epoch in history],
        },
    )


def _restore(
    folder: RunFolder,
    network: nn.Module,
    average: Average,
    optimizer: torch.optim.Optimizer,
    device: torch.device,
) -> list[Epoch]:
    """Put back the state after the last finished epoch; nothing to put back is an empty history."""
    try:
        state = checkpoint.load(folder.last, device)
    except FileNotFoundError:
        return []
    try:
        network.load_state_dict(state["network"])
        average.network.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        return [Epoch(**epoch) for epoch in state["history"]]
    except checkpoint.DAMAGED as exc:
        raise RunError(
            f"{folder.last} does not fit this run ({checkpoint.first_line(exc)}): start a new run, "
            f"from {folder.path} if you like (--initial-weights)"
        ) from exc
