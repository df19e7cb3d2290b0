"""Batch normalisations folded into convolutions: the scores stay, and what cannot be folded stays as it is."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from ti_core.architectures import ARCHITECTURES
from ti_core.classifier.fast.copying import fast_copy
from ti_core.classifier.fast.folding import folded

IMAGES = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def normalisations(network: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())


def used(network: nn.Module) -> nn.Module:
    """The network with statistics and scales as training leaves them."""
    generator = torch.Generator().manual_seed(1)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                assert tensor is not None
                tensor.data = torch.rand(tensor.shape, generator=generator) + 0.5
    return network.eval().requires_grad_(False)


class Untraceable(nn.Module):
    """A network whose own code asks for the values, around a block that can be traced."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.last = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block(x).mean((2, 3))
        return self.last(x) if float(x.detach().mean()) > -1e9 else x


class Shared(nn.Module):
    """One convolution with two normalisations: no weights serve both."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.conv(self.first(self.conv(x)))).mean((2, 3))


@pytest.mark.parametrize("network", [Untraceable(), nn.Sequential(Untraceable(), nn.ReLU())])
def test_what_can_be_traced_is_folded_and_scores_the_same(network: nn.Module) -> None:
    network = used(network)
    before = deepcopy(network.state_dict())
    changed = folded(network, IMAGES)
    assert normalisations(changed) == 0
    torch.testing.assert_close(changed(IMAGES), network(IMAGES))
    assert normalisations(network) == 1
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])


@pytest.mark.parametrize("name", [n for n, a in ARCHITECTURES.items() if "resnet" in n])
def test_a_residual_network_keeps_no_normalisation_behind_a_convolution(name: str) -> None:
    network = used(ARCHITECTURES[name](3, 10))
    images = torch.rand(2, 3, 32, 32)
    changed = folded(network, images)
    assert normalisations(changed) < normalisations(network)
    torch.testing.assert_close(changed(images), network(images), atol=1e-4, rtol=1e-4)


def test_the_gradient_is_that_of_the_network() -> None:
    network = used(Untraceable())
    gradients = []
    for each in (network, folded(network, IMAGES)):
        x = IMAGES.clone().requires_grad_(True)
        gradients.append(torch.autograd.grad(each(x)[:, 1].sum(), x)[0])
    torch.testing.assert_close(*gradients)


def test_a_shared_convolution_is_left_alone() -> None:
    network = used(Shared())
    changed = folded(network, IMAGES)
    torch.testing.assert_close(changed(IMAGES), network(IMAGES))


def test_statistics_of_the_batch_are_left_alone() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten()
    ).eval()
    assert normalisations(folded(network, IMAGES)) == 1


def test_a_network_without_normalisations_is_not_traced() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 3))
    assert folded(network, IMAGES) is network


def test_scores_that_are_not_numbers_stay_so() -> None:
    network = used(Untraceable())
    network.last.weight.data[0] = float("nan")
    assert torch.isnan(fast_copy(network, IMAGES)(IMAGES)[:, 0]).all()
