from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from edge_runtime.errors import UsageError
from train.data.split import split_dataset
from train.data.stream import ImageStore, open_images
from train.fitting import backbones, batch_norm
from train.fitting.loop import new_state, run_epochs
from train.fitting.machine import Machine
from train.fitting.record import Settings
from train.fitting.run import new_network
from train.fitting.task import Task
from train.run_folder import RunFolder

SIZE = InputSpec(height=32, width=32)


@pytest.fixture(scope="module")
def images(settings: Settings) -> ImageStore:
    return open_images(settings.source.read(), SIZE, workers=2, memory_limit=1 << 30)


@pytest.fixture
def task(images: ImageStore, settings: Settings) -> Task:
    return Task(
        images=images,
        split=split_dataset(images.dataset, share=settings.val_split, seed=3),
        ok_labels=("no_defect",),
        recipe=replace(settings.recipe, bn_images=12, train_img_size=None),
        augmentation=settings.augmentation,
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return backbones.build("test_efficientnet", 3, [SIZE])


def first_norm(of: nn.Module) -> nn.BatchNorm2d:
    norm = of.get_submodule("bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


def test_the_first_layers_mean_is_that_of_its_outputs_on_the_images(
    task: Task, machine: Machine
) -> None:
    learner = network()
    recipe = replace(task.recipe, bn_images=10_000, batch_size=len(task.split.train))
    everything = replace(task, recipe=recipe)
    batch_norm.reestimate(learner, everything, machine, 32)
    frames = torch.from_numpy(np.stack([task.images[index] for index in task.split.train]))
    outputs = learner.get_submodule("conv_stem")(backbones.normalise(frames, SIZE))
    expected = outputs.mean(dim=(0, 2, 3)).detach()
    torch.testing.assert_close(first_norm(learner).running_mean, expected, atol=1e-4, rtol=1e-4)
    assert not any(module.training for module in learner.modules())


def test_only_statistics_change_and_they_repeat(task: Task, machine: Machine) -> None:
    first, again = network(), network()
    for learner in (first, again):
        batch_norm.reestimate(learner, task, machine, 32)
    changed = {
        name.rpartition(".")[2]
        for (name, after), before in zip(
            first.state_dict().items(), network().state_dict().values(), strict=True
        )
        if not torch.equal(after, before)
    }
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )


def test_the_target_s_own_images_are_taken_where_there_are_any(
    task: Task, machine: Machine, images: ImageStore
) -> None:
    dark = [i for i, sample in enumerate(images.dataset.samples) if sample.label == "crack"]
    others = [i for i in range(len(images)) if i not in dark]
    target = replace(
        images, dataset=images.dataset.without(others), cached=images.cached[np.array(dark)]
    )
    ours, theirs = network(), network()
    batch_norm.reestimate(ours, task, machine, 32)
    batch_norm.reestimate(theirs, replace(task, target=target), machine, 32)
    assert not torch.allclose(first_norm(ours).running_mean, first_norm(theirs).running_mean)


def test_frozen_layers_and_the_best_weights_both_see_the_target(
    task: Task, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    recipe = replace(task.recipe, epochs=1, freeze_epochs=1, full_size_epochs=1)
    frozen = replace(task, recipe=recipe)
    folder = RunFolder(path=tmp_path_factory.mktemp("run"))
    run_epochs(network(), frozen, folder, machine, resume=False, report=lambda _epoch: None)
    expected = network()
    batch_norm.reestimate(expected, frozen, machine, 32)
    stored = torch.load(folder.last, weights_only=True)
    best = backbones.load_best(folder)
    for name, value in expected.named_buffers():
        if name.endswith("running_mean"):
            assert torch.equal(stored["network"][name], value)
            assert torch.equal(best[name], value)


def test_nothing_changes_where_it_is_not_asked_for(task: Task, machine: Machine) -> None:
    plain = replace(task, recipe=replace(task.recipe, bn_images=0))
    state = new_state(network(), plain.recipe, machine)
    batch_norm.begin(state, plain, machine)
    batch_norm.end_epoch(state, plain, machine, 0)
    before, after = network().state_dict(), state.average.network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_statistics_follow_at_the_momentum_that_the_recipe_names(task: Task) -> None:
    as_it_comes = new_network("test_efficientnet", task.recipe, 3)
    quick = new_network("test_efficientnet", replace(task.recipe, bn_momentum=0.5), 3)
    assert {norm.momentum for norm in batch_norm.norms(as_it_comes)} == {0.1}
    assert {norm.momentum for norm in batch_norm.norms(quick)} == {0.5}
    norm = first_norm(quick).train()
    images = torch.ones(2, norm.num_features, 4, 4)
    norm(images)
    norm(images)
    torch.testing.assert_close(norm.running_mean, torch.full((norm.num_features,), 0.75))


def test_a_momentum_for_a_network_without_batch_norm_is_refused(task: Task) -> None:
    with pytest.raises(UsageError, match="--bn-momentum: ConvNeXt has no batch norm"):
        new_network("test_convnext", replace(task.recipe, bn_momentum=0.5), 3)


def test_a_network_with_layer_norm_has_nothing_to_estimate() -> None:
    assert batch_norm.norms(backbones.build("test_convnext", 3, [SIZE])) == []
    assert len(batch_norm.norms(network())) > 5
