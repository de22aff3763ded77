from dataclasses import replace

import pytest
import torch
from torch import nn

from edge_runtime.errors import UsageError
from train.fitting.machine import Machine
from train.fitting.optimizer import Optimizer
from train.fitting.recipe import Recipe


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(4, 1)


def weights(learner: nn.Module) -> torch.Tensor:
    return torch.cat([value.detach().flatten() for value in learner.parameters()]).clone()


def pull(learner: nn.Module, strength: float) -> torch.Tensor:
    return strength * torch.cat([value.flatten() for value in learner.parameters()]).sum()


def test_a_gradient_is_shortened_to_the_norm_that_was_asked_for(machine: Machine) -> None:
    recipe = Recipe(opt="sgd", weight_decay=0.0, clip_grad=0.5)
    learner = network()
    before = weights(learner)
    optimizer = Optimizer(learner, recipe, machine)
    optimizer.gather(pull(learner, 100.0))
    optimizer.update(1.0)
    # torch adds 1e-6 to the norm; nesterov's first step is 1.9 gradients long.
    assert float((weights(learner) - before).norm()) == pytest.approx(0.5 * 1.9, rel=1e-4)


def test_gradients_add_up_until_the_update(machine: Machine) -> None:
    once, twice = network(), network()
    for learner, pulls in ((once, [3.0]), (twice, [1.0, 2.0])):
        optimizer = Optimizer(learner, Recipe(opt="sgd"), machine)
        for strength in pulls:
            optimizer.gather(pull(learner, strength))
        optimizer.update(0.1)
    torch.testing.assert_close(weights(once), weights(twice))


def test_half_precision_scales_gradients_and_an_overflow_skips_the_update(machine: Machine) -> None:
    half = replace(machine, amp=True, amp_dtype=torch.float16)
    learner, plain = network(), network()
    optimizer, reference = (Optimizer(learner, Recipe(), half), Optimizer(plain, Recipe(), machine))
    scale = optimizer.state_dict()["scaler"]["scale"]
    before = weights(learner)
    optimizer.gather(pull(learner, 1e38))
    optimizer.update(0.1)
    torch.testing.assert_close(weights(learner), before)
    assert optimizer.state_dict()["scaler"]["scale"] == scale / 2
    for learning, of in ((learner, optimizer), (plain, reference)):
        of.gather(pull(learning, 1.0))
        of.update(0.1)
    torch.testing.assert_close(weights(learner), weights(plain))
    assert not torch.equal(weights(learner), before)


def test_the_scale_goes_on_with_the_state(machine: Machine) -> None:
    half = replace(machine, amp=True, amp_dtype=torch.float16)
    learner = network()
    optimizer = Optimizer(learner, Recipe(), half)
    optimizer.gather(pull(learner, 1e38))
    optimizer.update(0.1)
    other = Optimizer(learner, Recipe(), half)
    other.load_state_dict(optimizer.state_dict())
    assert other.state_dict()["scaler"] == optimizer.state_dict()["scaler"]


def test_an_unknown_optimiser_is_refused_with_the_known_ones(machine: Machine) -> None:
    with pytest.raises(UsageError, match=r"--opt adamx: expected one of .*adamw"):
        Optimizer(network(), Recipe(opt="adamx"), machine)
