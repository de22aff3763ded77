import csv
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tqdm import tqdm

from edge_runtime.contracts.manifest import InputSpec
from tests.train.fitting.weights import assert_same, state
from train.data.split import split_dataset
from train.data.stream import open_images
from train.errors import DivergenceError, RunError
from train.fitting import backbones
from train.fitting.average import Average
from train.fitting.history import Epoch
from train.fitting.loop import learn, run_epochs
from train.fitting.machine import Machine
from train.fitting.optimizer import Optimizer
from train.fitting.record import Settings
from train.fitting.task import Task
from train.run_folder import RunFolder


@pytest.fixture(scope="module")
def task(settings: Settings) -> Task:
    recipe = settings.recipe
    size = InputSpec(height=recipe.img_size, width=recipe.img_size)
    images = open_images(settings.source.read(), size, workers=2, memory_limit=1 << 30)
    return Task(
        images=images,
        split=split_dataset(images.dataset, share=settings.val_split, seed=recipe.seed),
        ok_labels=("no_defect",),
        recipe=recipe,
        augmentation=settings.augmentation,
    )


def network(task: Task) -> torch.nn.Module:
    torch.manual_seed(task.recipe.seed)
    return backbones.build("test_efficientnet", 3, [task.images.size])


def train(
    task: Task,
    path: Path,
    machine: Machine,
    *,
    resume: bool = False,
    report: Callable[[Epoch], None] = lambda _epoch: None,
    checkpoint_every_s: float = math.inf,
) -> tuple[RunFolder, list[Epoch]]:
    path.mkdir(exist_ok=True)
    folder = RunFolder(path=path)
    epochs = run_epochs(
        network(task),
        task,
        folder,
        machine,
        resume=resume,
        report=report,
        checkpoint_every_s=checkpoint_every_s,
    )
    return folder, epochs


def test_a_run_repeats_bit_by_bit_and_another_seed_does_not(
    task: Task, machine: Machine, tmp_path: Path
) -> None:
    first, epochs = train(task, tmp_path / "first", machine)
    again, _ = train(task, tmp_path / "again", machine)
    assert_same(first, again)
    reseeded = replace(task, recipe=replace(task.recipe, seed=4))
    other, _ = train(reseeded, tmp_path / "other", machine)
    assert not torch.equal(
        state(first)["network.conv_stem.weight"], state(other)["network.conv_stem.weight"]
    )
    assert [epoch.side for epoch in epochs] == [16, 16, 32]
    assert all(0 <= epoch.loader_share <= 1 for epoch in epochs)


@pytest.mark.parametrize("finished", [1, 2])
def test_a_run_interrupted_between_checkpoints_goes_on_to_the_same_weights(
    task: Task, machine: Machine, tmp_path: Path, finished: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = train(task, tmp_path / "whole", machine)
    seen = 0
    real = Optimizer.update

    def interrupted(optimizer: Optimizer, rate: float) -> None:
        nonlocal seen
        seen += 1
        updates = len(task.split.train) // task.recipe.update_size
        if seen == finished * updates + 2:
            raise KeyboardInterrupt
        real(optimizer, rate)

    monkeypatch.setattr(Optimizer, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path / "parts", machine)
    monkeypatch.undo()
    reported: list[int] = []
    parts, epochs = train(
        task,
        tmp_path / "parts",
        machine,
        resume=True,
        report=lambda epoch: reported.append(epoch.epoch),
    )
    assert reported == list(range(finished + 1, 4))
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert_same(whole, parts)


@pytest.mark.parametrize(
    ("opt", "amp", "qat"),
    [
        ("adamw", False, False),
        ("sgd", False, False),
        ("adamw", True, False),
        ("adamw", False, True),
    ],
)
def test_a_run_interrupted_within_an_epoch_goes_on_from_there_to_the_same_weights(
    task: Task,
    machine: Machine,
    tmp_path: Path,
    opt: str,
    amp: bool,
    qat: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine = replace(machine, amp=amp, amp_dtype=torch.float16)
    recipe = replace(
        task.recipe,
        qat=qat,
        opt=opt,
        batch_size=2,
        grad_accum_steps=2,
        unfreeze_epochs=1,
        layer_decay=0.8,
        clip_grad=1.0,
        drop_path=0.3,
        bn_images=8,
    )
    task = replace(task, recipe=recipe)
    whole, _ = train(task, tmp_path / "whole", machine)
    made = 0
    real = Optimizer.update

    def counted(optimizer: Optimizer, rate: float) -> None:
        nonlocal made
        made += 1
        if made == last:
            raise KeyboardInterrupt
        real(optimizer, rate)

    monkeypatch.setattr(Optimizer, "update", counted)
    updates = recipe.shown(len(task.split.train)) // recipe.update_size
    last = updates + 3
    with pytest.raises(KeyboardInterrupt):
        train(task, tmp_path / "parts", machine, checkpoint_every_s=0)
    made, last = 0, -1
    parts, epochs = train(task, tmp_path / "parts", machine, resume=True)
    assert made == 3 * updates - (updates + 2)
    assert [epoch.epoch for epoch in epochs] == [1, 2, 3]
    assert_same(whole, parts)
    with whole.metrics.open() as ours, parts.metrics.open() as theirs:
        losses = [[row["loss"] for row in csv.DictReader(file)] for file in (ours, theirs)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("model", "equal"), [("test_vit", True), ("test_resnet", False)])
def test_gathered_gradients_are_those_of_the_large_batch_where_no_batch_norm_sees_it(
    task: Task, machine: Machine, model: str, equal: bool
) -> None:
    size = InputSpec(height=160, width=160)
    recipe = replace(task.recipe, epochs=1, freeze_epochs=0, warmup_epochs=0, epoch_images=16)
    recipe = replace(recipe, img_size=160, train_img_size=None, opt="sgd", lr=0.1)
    ends = []
    for batch, steps in ((8, 1), (2, 4)):
        part = replace(task, recipe=replace(recipe, batch_size=batch, grad_accum_steps=steps))
        torch.manual_seed(0)
        fresh = backbones.build(model, 3, [size])
        with tqdm(disable=True) as bar:
            learn(fresh, part, machine, bar)
        ends.append(torch.cat([p.detach().flatten() for p in fresh.parameters()]))
    torch.manual_seed(0)
    start = backbones.build(model, 3, [size])
    moved = ends[0] - torch.cat([p.detach().flatten() for p in start.parameters()])
    assert (float((ends[1] - ends[0]).norm()) < 1e-3 * float(moved.norm())) == equal


def test_a_schedule_without_validation_ends_at_the_average_of_the_run(
    task: Task, machine: Machine, tmp_path: Path
) -> None:
    folder, _ = train(task, tmp_path / "run", machine)
    unseen = replace(task, split=replace(task.split, validation=()))
    with tqdm(disable=True) as bar:
        average = learn(network(task), unseen, machine, bar).state_dict()
    expected = torch.load(folder.last, weights_only=True)["average"]
    assert [name for name in average if not torch.equal(average[name], expected[name])] == []


@pytest.mark.parametrize("power", [0.0, 0.5])
def test_the_head_of_a_class_that_nothing_teaches_stays_as_it_came(
    task: Task, machine: Machine, power: float
) -> None:
    samples = task.images.dataset.samples
    known = tuple(i for i in task.split.train if samples[i].label != "stain")
    recipe = replace(task.recipe, weight_decay=0.0, sampling_power=power)
    part = replace(task, split=replace(task.split, train=known), recipe=recipe)
    before = network(task).get_parameter("classifier.weight").detach()
    with tqdm(disable=True) as bar:
        after = learn(network(task), part, machine, bar).get_parameter("classifier.weight")
    stays = [bool(torch.allclose(a, b, atol=1e-6)) for a, b in zip(before, after, strict=True)]
    assert stays == [False, False, True]


def test_the_head_learns_first(task: Task, machine: Machine, tmp_path: Path) -> None:
    frozen = replace(task, recipe=replace(task.recipe, epochs=1, freeze_epochs=1))
    folder, _ = train(frozen, tmp_path / "run", machine)
    before, after = (
        network(task).state_dict(),
        torch.load(folder.last, weights_only=True)["network"],
    )
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_metrics_have_a_row_per_epoch(task: Task, machine: Machine, tmp_path: Path) -> None:
    folder, epochs = train(task, tmp_path / "run", machine)
    with folder.metrics.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["macro_f1"]) == epochs[-1].macro_f1
    assert float(rows[-1]["recall_crack"]) == epochs[-1].recall["crack"]
    assert [row["side"] for row in rows] == ["16", "16", "32"]


def test_the_best_checkpoint_is_the_best_epoch(
    task: Task, machine: Machine, tmp_path: Path
) -> None:
    whole = replace(task, recipe=replace(task.recipe, train_img_size=None))
    folder, epochs = train(whole, tmp_path / "run", machine)
    best = [epoch for epoch in epochs if epoch.best][-1]
    assert best.reachable_f1 == max(epoch.reachable_f1 for epoch in epochs)
    assert torch.load(folder.best, weights_only=True)["epoch"] == best.epoch


def test_only_epochs_at_full_size_can_be_the_best(
    task: Task, machine: Machine, tmp_path: Path
) -> None:
    seen: list[bool] = []
    folder = RunFolder(path=tmp_path / "run")
    train(task, folder.path, machine, report=lambda _epoch: seen.append(folder.best.exists()))
    assert seen == [False, False, True]


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(
    task: Task, machine: Machine, tmp_path: Path
) -> None:
    folder = RunFolder(path=tmp_path)
    spoiled = network(task)

    def spoil(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            spoiled.get_parameter("classifier.weight").data.fill_(float("nan"))

    with pytest.raises(
        DivergenceError, match=r"became nan in epoch 3 at image 4 of .*holds epoch 2"
    ):
        run_epochs(spoiled, task, folder, machine, resume=False, report=spoil)
    stored = torch.load(folder.last, weights_only=True)
    assert len(stored["history"]) == 2
    assert all(torch.isfinite(value).all() for value in stored["network"].values())


@pytest.mark.parametrize("damage", [b"", b"garbage", "cut"])
def test_a_damaged_checkpoint_is_refused(
    task: Task, machine: Machine, tmp_path: Path, finished_run: RunFolder, damage: bytes | str
) -> None:
    whole = finished_run.last.read_bytes()
    (tmp_path / "last.pth").write_bytes(whole[:-500] if isinstance(damage, str) else damage)
    with pytest.raises(RunError, match=r"last\.pth is damaged"):
        train(task, tmp_path, machine, resume=True)


def test_resuming_before_the_first_checkpoint_starts_anew(
    task: Task, machine: Machine, tmp_path: Path
) -> None:
    _, epochs = train(task, tmp_path / "run", machine, resume=True)
    assert len(epochs) == task.recipe.epochs


def test_the_average_is_the_exponential_one() -> None:
    network = torch.nn.BatchNorm1d(2)
    average = Average(network)
    expected = 1.0
    for value in (2.0, 5.0, -1.0):
        network.weight.data.fill_(value)
        network.num_batches_tracked += 1
        average.update(network, 0.75)
        expected = 0.75 * expected + 0.25 * value
    np.testing.assert_allclose(average.network.weight.detach().numpy(), expected, rtol=1e-6)
    assert average.network.num_batches_tracked == 3
    assert not average.network.training
