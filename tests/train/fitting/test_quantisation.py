"""Rounding is imitated where int8 will round, and leaves no trace in the weights."""

import copy

import pytest
import torch
from torch import nn

from edge_runtime.contracts.manifest import InputSpec
from train.fitting import backbones
from train.fitting.quantisation import imitate, rounded_activations, rounded_weights

SIZE = InputSpec(height=32, width=32)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(1)
    return backbones.build("test_efficientnet", 3, [SIZE]).eval()


@pytest.fixture
def frames() -> torch.Tensor:
    return torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_weights_take_255_values_per_channel_and_zero_is_one_of_them() -> None:
    weights = torch.randn(2, 900, generator=torch.Generator().manual_seed(1))
    weights[1] *= 1000
    rounded = rounded_weights(weights)
    for channel, given in zip(rounded, weights, strict=True):
        codes = channel / (given.abs().max() / 127)
        assert torch.allclose(codes, codes.round(), atol=1e-3)
        assert codes.abs().max() == pytest.approx(127, abs=1e-3)
        assert (channel - given).abs().max() <= given.abs().max() / 127 * 0.501


def test_activations_take_256_values_and_zero_stays_zero() -> None:
    values = torch.linspace(-1, 3, 4001)
    rounded = rounded_activations(values)
    assert len(rounded.unique()) == 256
    assert (rounded - values).abs().max() <= 4 / 255 * 0.51
    assert rounded_activations(torch.tensor([0.0, 5.0, 0.003]))[0] == 0


def test_a_layer_of_nothing_but_zeros_stays_as_it_is() -> None:
    assert torch.equal(rounded_activations(torch.zeros(3)), torch.zeros(3))
    assert torch.equal(rounded_weights(torch.zeros(2, 3)), torch.zeros(2, 3))


def test_answers_are_those_of_rounded_values_and_the_weights_stay(
    network: nn.Module, frames: torch.Tensor
) -> None:
    before, exact = copy.deepcopy(network.state_dict()), network(frames)
    layers = imitate(network)
    rough = network(frames)
    noise = (rough - exact).norm() / exact.norm()
    assert 1e-4 < noise < 0.3
    assert layers == sum(isinstance(part, nn.Conv2d | nn.Linear) for part in network.modules()) - 1
    assert list(network.state_dict()) == list(before)
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert [type(p) for p in network.parameters()] == [nn.Parameter] * len(
        list(network.parameters())
    )


def test_every_weight_still_learns(network: nn.Module, frames: torch.Tensor) -> None:
    imitate(network)
    network.train()
    network(frames).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_copy_rounds_as_well_and_apart_from_the_original(
    network: nn.Module, frames: torch.Tensor
) -> None:
    exact = network(frames)
    imitate(network)
    twin = copy.deepcopy(network)
    assert torch.equal(twin(frames), network(frames))
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.mul_(1.5)
    assert not torch.equal(twin(frames), network(frames))
    assert not torch.equal(network(frames), exact)


def test_a_forward_pass_that_fails_leaves_the_weights(network: nn.Module) -> None:
    before = copy.deepcopy(network.state_dict())
    imitate(network)
    with pytest.raises(RuntimeError):
        network(torch.zeros(1, 7, 32, 32))
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(isinstance(parameter, nn.Parameter) for parameter in network.parameters())
