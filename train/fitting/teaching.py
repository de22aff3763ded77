"""One epoch over the training images: draw them, show them, update the weights.

Every draw, of images, augmentation or dropout, depends on seed, epoch and place within the epoch alone,
so an epoch may be left after any update and gone on with later.
"""

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec
from train.data.stream import BatchStream
from train.errors import DivergenceError
from train.fitting import layers
from train.fitting.draws import draw_epoch, drawing_shares
from train.fitting.losses import TrainingLoss
from train.fitting.machine import Machine
from train.fitting.prediction import classes_of
from train.fitting.ranks import Ranks
from train.fitting.state import Keeper, State
from train.fitting.task import Task

_READ_EVERY = 16
"""Updates between two looks at the loss: each makes a GPU wait for the processor."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What one epoch shows, and how the answers are judged."""

    epoch: int
    """From 0."""
    order: npt.NDArray[np.int64]
    """Indices of the images to show."""
    size: InputSpec
    loss: TrainingLoss


def draw_lesson(task: Task, epoch: int, device: torch.device) -> Lesson:
    """The lesson of that epoch (from 0)."""
    recipe = task.recipe
    classes = classes_of(task.images, task.split.train)
    counts = np.bincount(classes, minlength=len(task.images.dataset.labels)).tolist()
    shares = drawing_shares(counts, recipe.sampling_power)
    random = np.random.default_rng((recipe.seed, epoch))
    drawn = draw_epoch(classes, shares, recipe.drawn(len(classes)), random)
    side = recipe.side(epoch)
    return Lesson(
        epoch=epoch,
        order=np.asarray(task.split.train)[drawn[: recipe.shown(len(classes))]],
        size=InputSpec(height=side, width=side),
        loss=TrainingLoss(recipe, counts, shares, device),
    )


def teach(
    state: State,
    task: Task,
    machine: Machine,
    epoch: int,
    bar: tqdm,
    keeper: Keeper | None = None,
) -> None:
    """Show what that epoch (from 0) has not shown yet; `state.progress` then covers all of it.

    `bar` moves on by each image shown; `keeper` writes checkpoints between. Raises DivergenceError when
    the loss is no number or has run away; the last checkpoint stays.
    """
    recipe = task.recipe
    lesson = draw_lesson(task, epoch, machine.device)
    total, size = len(lesson.order), recipe.update_size
    ranks = machine.ranks
    ranks.require_enough(total % recipe.batch_size or recipe.batch_size)
    stages = recipe.learning_stages(epoch, len(layers.stages(state.network)))
    layers.let_learn(state.network, stages)
    learner = ranks.joined(machine.prepared(state.network, stages, lesson.size))
    place = state.progress.images
    stream = BatchStream(
        store=task.images,
        order=lesson.order,
        batch_size=recipe.batch_size,
        size=lesson.size,
        pool=machine.workers,
        augmentation=task.augmentation,
        seed=recipe.seed,
        epoch=epoch,
        first=place,
        share=ranks.share,
    )
    watch = _Watch(state, lesson, stream, keeper, ranks)
    for batch in stream:
        begun, mine = place - place % size, len(batch.classes)
        shown = min(recipe.batch_size, total - place)
        end = min(begun + size, total)
        last = place + shown >= end
        torch.manual_seed(_seed(recipe.seed, epoch, place, ranks.rank))
        with ranks.gathering(learner, last=last):
            logits = machine.forward(learner, batch.frames, lesson.size)
            loss = lesson.loss(logits, torch.from_numpy(batch.classes).to(machine.device))
            # Processes' gradients are averaged: each weighs by the images that it has.
            state.optimizer.gather(loss * (mine * ranks.count / (end - begun)))
        watch.note(loss.detach() * mine, shown)
        place += shown
        bar.update(shown)
        if not last:
            continue
        update = epoch * math.ceil(total / size) + begun // size
        state.optimizer.update(recipe.learning_rate(update, math.ceil(total / size)))
        state.average.update(state.network, recipe.ema_decay(update))
        due = keeper is not None and keeper.due()
        if due or place == total or update % _READ_EVERY == 0:
            watch.read()
            bar.set_postfix(loss=f"{state.progress.loss:.3f}", refresh=False)
        if keeper is not None and due and place < total:
            keeper.write_last(state)


class _Watch:
    """Fetches losses off the device some batches late, and enters them into the state's progress."""

    def __init__(
        self,
        state: State,
        lesson: Lesson,
        stream: BatchStream,
        keeper: Keeper | None,
        ranks: Ranks,
    ) -> None:
        self._state, self._lesson, self._stream, self._keeper = state, lesson, stream, keeper
        self._ranks = ranks
        self._undecided = lesson.loss.undecided()
        self._losses: list[Tensor] = []
        self._counts: list[int] = []
        self._before = state.progress
        self._began = time.perf_counter()

    def note(self, loss: Tensor, count: int) -> None:
        """Take the summed loss of this process's share of a batch of so many images."""
        self._losses.append(loss)
        self._counts.append(count)

    def read(self) -> None:
        """Enter all that was noted; raises DivergenceError."""
        sums = self._ranks.total(torch.stack(self._losses)).tolist()
        for loss_sum, count in zip(sums, self._counts, strict=True):
            loss = loss_sum / count
            progress = self._state.progress
            self._state.progress = replace(
                progress,
                images=progress.images + count,
                loss_sum=progress.loss_sum + loss_sum,
                level=progress.level.after(loss, self._undecided),
            )
            self._require_sound(loss)
        self._losses.clear()
        self._counts.clear()
        self._state.progress = replace(
            self._state.progress,
            seconds=self._before.seconds + time.perf_counter() - self._began,
            waited_s=self._before.waited_s + self._stream.waited_s,
        )

    def _require_sound(self, loss: float) -> None:
        progress = self._state.progress
        if not progress.level.diverged:
            return
        what = (
            f"stayed near {progress.level.mean:.3g}, having been {progress.level.lowest:.3g}"
            if math.isfinite(loss)
            else f"became {loss}"
        )
        raise DivergenceError(
            f"the loss {what} in epoch {self._lesson.epoch + 1} at image {progress.images:,} of "
            f"{len(self._lesson.order):,} (learning rate {self._state.optimizer.rate:.2g}); "
            f"{self._keeper.kept if self._keeper else 'nothing of it was kept'}: start a new run with a "
            "lower --lr, more --warmup-epochs or --clip-grad"
        )


def _seed(run: int, epoch: int, place: int, rank: int) -> int:
    """For torch's own draws (dropout, dropped paths) at that place; each process has its own."""
    entropy = (run, epoch, place, rank) if rank else (run, epoch, place)
    return int(np.random.SeedSequence(entropy).generate_state(1)[0])
