"""The epochs of a run: teach, validate, rank, keep.

Carries out a `Recipe` on a network and images that others made. A run that was interrupted goes on to
the very weights of one that was not (on one machine, with one number of threads). One thread; the
streams' workers touch pixels only.
"""

import time
from collections.abc import Callable

import numpy as np
from torch import nn
from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec, ModelSpec
from train.decision import decide
from train.errors import DivergenceError
from train.figures.counts import Metrics, measure, reachable_f1
from train.fitting import batch_norm, quantisation
from train.fitting.average import Average
from train.fitting.history import Epoch
from train.fitting.machine import Machine
from train.fitting.optimizer import Optimizer
from train.fitting.prediction import classes_of, predict
from train.fitting.recipe import Recipe
from train.fitting.state import Keeper, State
from train.fitting.task import Task
from train.fitting.teaching import teach
from train.run_folder import RunFolder

CHECKPOINT_EVERY_S = 300.0
"""Seconds between checkpoints within an epoch, unless the user says otherwise."""


def run_epochs(
    network: nn.Module,
    task: Task,
    folder: RunFolder,
    machine: Machine,
    *,
    resume: bool,
    report: Callable[[Epoch], None],
    checkpoint_every_s: float = CHECKPOINT_EVERY_S,
) -> list[Epoch]:
    """Train `network` in place; returns all epochs, `report`ing each new one once it is saved.

    Raises DivergenceError when the loss is no longer finite or runs away, RunError when a checkpoint
    cannot be read or written. Whatever ends it early, Ctrl-C included, leaves the last checkpoint.
    """
    recipe = task.recipe
    state = new_state(network, recipe, machine)
    keeper = Keeper(folder, checkpoint_every_s, machine.ranks)
    if not (resume and keeper.restore(state)):
        batch_norm.begin(state, task, machine)
    while len(state.history) < recipe.epochs:
        epoch = len(state.history)
        with _epoch_bar(state, task, machine) as bar:
            teach(state, task, machine, epoch, bar, keeper)
        batch_norm.end_epoch(state, task, machine, epoch)
        state.finish(_validated(state, task, machine))
        keeper.write_epoch(state)
        if machine.ranks.leads:
            report(state.history[-1])
    return state.history


def learn(network: nn.Module, task: Task, machine: Machine, bar: tqdm) -> nn.Module:
    """Carry out the whole recipe on `network`; returns the averaged network at its end.

    For trials that are judged elsewhere: no look at the validation side, no choice of an epoch, no file.
    `bar` is moved on by each image shown. Raises DivergenceError.
    """
    state = new_state(network, task.recipe, machine)
    batch_norm.begin(state, task, machine)
    for epoch in range(task.recipe.epochs):
        teach(state, task, machine, epoch, bar)
        batch_norm.end_epoch(state, task, machine, epoch)
        state.progress = state.progress.next_epoch()
    return state.average.network


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


def new_state(network: nn.Module, recipe: Recipe, machine: Machine) -> State:
    network.to(machine.device)
    if recipe.qat:
        quantisation.imitate(network)
    network = machine.ranks.with_common_statistics(network, machine.device)
    machine.ranks.align(network)
    return State(
        network=network,
        average=Average(network),
        optimizer=Optimizer(network, recipe, machine),
    )


def _epoch_bar(state: State, task: Task, machine: Machine) -> tqdm:
    recipe, epoch = task.recipe, len(state.history)
    return tqdm(
        total=recipe.shown(len(task.split.train)),
        initial=state.progress.images,
        desc=f"epoch {epoch + 1}/{recipe.epochs} at {recipe.side(epoch)} px",
        unit="image",
        disable=None if machine.ranks.leads else True,
        leave=False,
    )


def _validated(state: State, task: Task, machine: Machine) -> Epoch:
    """The row of the epoch that was just taught."""
    recipe, taught = task.recipe, state.progress
    epoch = len(state.history)
    side = recipe.side(epoch)
    began = time.perf_counter()
    machine.ranks.align(state.average.network)
    metrics, reachable = validate(
        state.average.network, task, machine, InputSpec(height=side, width=side)
    )
    # Figures at a smaller size say nothing about the size that the model will be used at: batch norm
    # has seen other statistics. Measured: 0.23 at 256 px from 160 px, 0.92 an epoch later.
    rivals = [past.reachable_f1 for past in state.history if past.side == recipe.img_size]
    return Epoch(
        epoch=epoch + 1,
        side=side,
        lr=state.optimizer.rate,
        loss=taught.loss,
        images_per_s=taught.images / taught.seconds,
        loader_share=taught.waited_s / taught.seconds,
        seconds=taught.seconds + time.perf_counter() - began,
        reachable_f1=reachable,
        macro_f1=metrics.macro_f1,
        defect_recall=metrics.defect_recall,
        false_positive_rate=metrics.false_positive_rate,
        review_rate=metrics.review_rate,
        recall=metrics.recall,
        best=side == recipe.img_size and reachable >= max(rivals, default=0.0),
    )
