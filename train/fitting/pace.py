"""What this machine manages with a recipe: images per second and peak memory, measured.

Runs the very loop of `train fit` over a few images, round after round; the median of the rounds counts,
and the first one, which warms up, does not. The weights come to nothing. `train.fitting.budget` makes a
plan of what is found.
"""

import copy
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import nn
from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec
from optimize.data.dataset import Dataset
from train.data.augment import Augmentation
from train.data.split import Split
from train.data.stream import BatchStream, ImageStore, open_images
from train.fitting.budget import Pace, Reading, largest_batch, smaller_batch
from train.fitting.loop import new_state
from train.fitting.machine import Machine
from train.fitting.prediction import predict
from train.fitting.recipe import Recipe
from train.fitting.task import Task
from train.fitting.teaching import teach

_ROUNDS = 4
"""The first does not count."""
_PROBED = 2
"""Updates that show what a batch takes: the second has the optimiser's moments."""
_ENOUGH = 1 << 62


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A network, and the images and the machine to try it with."""

    network: nn.Module
    """Not changed: every measurement takes a copy."""
    task: Task
    """Its images are not kept in memory, as where there are millions, and all of them teach."""
    machine: Machine

    @classmethod
    def of(
        cls,
        network: nn.Module,
        images: ImageStore,
        recipe: Recipe,
        augmentation: Augmentation | None,
        machine: Machine,
    ) -> Self:
        """A trial in which all images teach."""
        task = Task(
            images=images,
            split=Split(train=tuple(range(len(images))), validation=()),
            ok_labels=(),
            recipe=recipe,
            augmentation=augmentation,
        )
        return cls(network=network, task=task, machine=machine)

    def pace(self, *, side: int, updates: int, bar: tqdm) -> Pace:
        """The pace at one side of the images, in rounds of so many updates.

        `bar` moves on by the images that pass, `images_passed` in all.
        """
        task = replace(self.task, recipe=all_learning(self.task.recipe, side, updates))
        size = InputSpec(height=side, width=side)
        dataset = task.images.dataset
        kept = open_images(dataset, size, workers=1, memory_limit=_ENOUGH)
        shown = task.recipe.update_size * updates
        order = [n % len(task.images) for n in range(shown)]
        answering = copy.deepcopy(self.network).to(self.machine.device)

        def load() -> None:
            stream = BatchStream(
                store=task.images,
                order=order,
                batch_size=task.recipe.batch_size,
                size=size,
                pool=self.machine.workers,
                augmentation=task.augmentation,
            )
            for batch in stream:
                bar.update(len(batch.frames))

        def answer() -> None:
            predict(answering, task.images, order, size, self.machine)
            bar.update(shown)

        def rate(work: Callable[[], object]) -> float:
            return shown / statistics.median([_seconds(work) for _ in range(_ROUNDS)][1:])

        return Pace(
            teaching=rate(self._lessons(task, bar)),
            updating=rate(self._lessons(replace(task, images=kept, augmentation=None), bar)),
            loading=rate(load),
            validating=rate(answer),
        )

    def memory(self, batch: int, bar: tqdm) -> Reading:
        """Peak memory of training with that batch size at the recipe's full side."""
        recipe = replace(self.task.recipe, batch_size=batch, grad_accum_steps=1)
        task = replace(self.task, recipe=all_learning(recipe, recipe.img_size, _PROBED))
        gauge = gauge_of(self.machine.device)
        gauge.reset()
        try:
            self._lessons(task, bar)()
        except torch.OutOfMemoryError:
            return Reading(batch=batch, peak=math.inf)
        return Reading(batch=batch, peak=gauge.peak())

    def _lessons(self, task: Task, bar: tqdm) -> Callable[[], None]:
        """One more epoch at each call, on a copy of the network."""
        state = new_state(copy.deepcopy(self.network), task.recipe, self.machine)

        def lesson() -> None:
            teach(state, task, self.machine, 0, bar)
            state.progress = state.progress.next_epoch()

        return lesson


def opening_rate(dataset: Dataset, size: InputSpec, workers: int) -> tuple[ImageStore, float]:
    """The images, none of them kept in memory, and how many per second were looked at."""
    began = time.perf_counter()
    images = open_images(dataset, size, workers=workers, memory_limit=0)
    return images, len(dataset.samples) / (time.perf_counter() - began)


def describe(device: torch.device) -> str:
    """The device as its maker calls it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"a CPU with {torch.get_num_threads()} threads"


def images_passed(recipe: Recipe, updates: int) -> int:
    """How many images pass while a pace is measured."""
    return 4 * _ROUNDS * recipe.update_size * updates


def largest_that_fits(trial: Trial, limit: float, bar: tqdm) -> tuple[list[Reading], int]:
    """Readings around the recipe's batch, and the largest batch within `limit` bytes.

    A GPU is made to show it; on a CPU, where a large batch takes minutes, it is the line through the
    readings.
    """
    wanted = trial.task.recipe.batch_size
    readings = [trial.memory(batch, bar) for batch in (max(2, wanted // 2), wanted)]
    batch = largest_batch(readings, limit)
    if trial.machine.device.type == "cpu":
        return readings, batch
    while batch >= 2:
        readings.append(trial.memory(batch, bar))
        if readings[-1].peak <= limit:
            return readings, batch
        batch = smaller_batch(batch)
    return readings, 0


class Gauge(Protocol):
    """Shows the most memory that was taken since it was reset, bytes."""

    def reset(self) -> None: ...
    def peak(self) -> float: ...


def gauge_of(device: torch.device) -> Gauge:
    """The gauge of the memory that training on that device is short of."""
    return _DeviceGauge(device) if device.type == "cuda" else _ProcessGauge()


class _DeviceGauge:
    """A GPU's memory: what torch took from the driver, and what the driver takes for itself."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def reset(self) -> None:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self._device)

    def peak(self) -> float:
        free, total = torch.cuda.mem_get_info(self._device)
        beside = total - free - torch.cuda.memory_reserved(self._device)
        return float(torch.cuda.max_memory_reserved(self._device) + beside)


class _ProcessGauge:
    """Resident memory of this process, libraries included."""

    def reset(self) -> None:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def peak(self) -> float:
        status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def all_learning(recipe: Recipe, side: int, updates: int) -> Recipe:
    """One epoch of so many updates at that side, in which everything learns, too slowly to diverge."""
    return replace(
        recipe,
        img_size=side,
        train_img_size=None,
        epochs=1,
        epoch_images=recipe.update_size * updates,
        freeze_epochs=0,
        unfreeze_epochs=0,
        lr=1e-6,
        min_lr=0.0,
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
