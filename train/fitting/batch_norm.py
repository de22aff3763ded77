"""Batch-norm statistics estimated anew on unlabelled images of the target (AdaBN, Li et al. 2016).

What a layer subtracts and divides by was learned from other images: ImageNet's, or an older camera's.
Here it becomes the mean over batches of the target's images as they are, without augmentation and
without their labels. It is done before the first epoch, so that frozen layers see the target as it is,
and after each epoch for the averaged weights, whose statistics are a mean over weights that have passed.
"""

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import UsageError
from train.data.stream import BatchStream
from train.fitting.machine import Machine
from train.fitting.state import State
from train.fitting.task import Task


def norms(network: nn.Module) -> list[_BatchNorm]:
    """The layers that keep such statistics; a network with layer norm has none."""
    return [
        part
        for part in network.modules()
        if isinstance(part, _BatchNorm) and part.running_mean is not None
    ]


def set_momentum(network: nn.Module, momentum: float) -> None:
    """How far the statistics move at each update; raises UsageError for a network without any."""
    layers = norms(network)
    if not layers:
        raise UsageError(
            f"--bn-momentum: {type(network).__name__} has no batch norm; leave the flag out"
        )
    for layer in layers:
        layer.momentum = momentum


def begin(state: State, task: Task, machine: Machine) -> None:
    """Fit the initial weights to the target, where the recipe asks for it."""
    if task.recipe.bn_images:
        reestimate(state.network, task, machine, task.recipe.side(0))
        state.average.network.load_state_dict(state.network.state_dict())


def end_epoch(state: State, task: Task, machine: Machine, epoch: int) -> None:
    """Fit the averaged weights after that epoch (from 0) to the target, where the recipe asks for it."""
    if task.recipe.bn_images:
        reestimate(state.average.network, task, machine, task.recipe.side(epoch))


@torch.no_grad()
def reestimate(network: nn.Module, task: Task, machine: Machine, side: int) -> None:
    """Replace the statistics by those over the target's images at that side; leaves eval mode."""
    recipe = task.recipe
    store, order = task.images, _drawn(np.asarray(task.split.train), task)
    if task.target is not None:
        store, order = task.target, _drawn(np.arange(len(task.target)), task)
    network.eval()
    layers = norms(network)
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
        layer.train()
    stream = BatchStream(
        store=store,
        order=order,
        batch_size=recipe.batch_size,
        size=InputSpec(height=side, width=side),
        pool=machine.workers,
    )
    for batch in stream:
        machine.forward(network, batch.frames, stream.size)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


def _drawn(indices: npt.NDArray[np.int64], task: Task) -> npt.NDArray[np.int64]:
    """Some of them, the same at every call, in whole batches where there is more than one."""
    recipe = task.recipe
    random = np.random.default_rng(recipe.seed)
    drawn = random.permutation(indices)[: recipe.bn_images]
    return drawn[: len(drawn) - len(drawn) % recipe.batch_size or len(drawn)]
