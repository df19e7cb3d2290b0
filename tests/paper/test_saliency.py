from __future__ import annotations

import torch
from torch import nn

from ti_core.paper.saliency import saliency_and_classes, saliency_maps


def linear(weights: torch.Tensor) -> nn.Module:
    layer = nn.Linear(weights.shape[1], weights.shape[0], bias=False)
    layer.weight = nn.Parameter(weights, requires_grad=False)
    return nn.Sequential(nn.Flatten(), layer)


def test_a_linear_networks_saliency_is_its_weights_of_the_predicted_class() -> None:
    weights = torch.tensor([[1.0, -2.0, 3.0, -4.0, 5.0, -6.0, 7.0, -8.0], [0.0] * 8])
    x = torch.zeros(2, 2, 2, 2)
    x[0, 0, 0, 0] = 1.0  # class 0 wins: 1 > 0
    x[1, 0, 0, 1] = 1.0  # class 1 wins: -2 < 0
    maps = saliency_maps(linear(weights), x)
    # Largest of the two channels' absolute weights at each pixel: |5| over |1| and so on; not normalised.
    assert maps[0].tolist() == [[5.0, 6.0], [7.0, 8.0]]
    assert maps[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_it_equals_the_plain_gradient_of_the_predicted_score() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 36, 5)).requires_grad_(
        False
    )
    x = torch.rand(6, 3, 8, 8)
    given = x.clone().requires_grad_(True)
    z = network(given)
    z.gather(1, z.argmax(1, keepdim=True)).sum().backward()
    assert given.grad is not None
    assert torch.equal(saliency_maps(network, x), given.grad.abs().amax(1))


def test_it_equals_captums_to_the_bit() -> None:
    from captum.attr import Saliency

    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).requires_grad_(
        False
    )
    x = torch.rand(6, 3, 8, 8)
    maps, classes = saliency_and_classes(network, x)
    expected = Saliency(network).attribute(x.clone().requires_grad_(True), target=classes)
    assert torch.equal(maps, expected.detach().amax(1))


def test_batches_do_not_matter() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).requires_grad_(False)
    x = torch.rand(7, 1, 4, 4)
    torch.testing.assert_close(saliency_maps(network, x, 2), saliency_maps(network, x, 100))


def test_scaling_the_scores_scales_the_maps() -> None:
    """The maps are not normalised."""
    x = torch.rand(3, 1, 2, 2)
    weights = torch.rand(2, 4)
    torch.testing.assert_close(saliency_maps(linear(10 * weights), x), 10 * saliency_maps(linear(weights), x))


def test_the_state_is_left_as_it_was_found() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).eval()
    x = torch.rand(2, 1, 4, 4)
    saliency_maps(network, x)
    assert not x.requires_grad and x.grad is None
    assert all(p.grad is None and p.requires_grad for p in network.parameters())
    assert not network.training


def test_the_classes_are_those_whose_saliency_it_is() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).requires_grad_(False)
    x = torch.rand(9, 1, 4, 4)
    maps, classes = saliency_and_classes(network, x, 4)
    assert torch.equal(classes, network(x).argmax(1))
    torch.testing.assert_close(maps.flatten(1), network[1].weight[classes].abs())
