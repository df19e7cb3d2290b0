from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.inspection.attribution.networks import Residual, pooled
from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.methods import attribution_maps

WEIGHTS = torch.tensor([[4.0, 0.0], [0.0, 0.0]])
"""Class 0 wins on every image that is not black. Centred, its weights are 2 and 0."""


def test_cam_is_the_feature_map_times_the_weights() -> None:
    x = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(attribution_maps(pooled(WEIGHTS), x, "cam"), 2 * x[:, 0])


def test_grad_cam_is_cam_by_the_number_of_places() -> None:
    x = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(attribution_maps(pooled(WEIGHTS), x, "grad_cam"), 2 * x[:, 0] / 16)


@pytest.mark.parametrize("method", ["grad_cam_plus", "smooth_grad_cam_plus"])
def test_grad_cam_plus_weighs_by_higher_derivatives(method: str) -> None:
    """The gradient is ``g = 2 / 16`` at each place, so that each has the weight ``g^2 / (2 g^2 + sum(A) g^3)``."""
    x, g = torch.rand(2, 1, 4, 4) + 0.5, 2 / 16
    total = x.sum((1, 2, 3))
    weight = 16 * g / (2 + g * total)
    # Noise leaves this gradient as it is wherever the pixels stay above 0.
    maps = attribution_maps(pooled(WEIGHTS), x, method)
    torch.testing.assert_close(maps, weight[:, None, None] * x[:, 0], rtol=1e-4, atol=1e-5)


def test_a_negative_map_is_nothing() -> None:
    scores = pooled(torch.tensor([[0.0, 0.0], [-4.0, 0.0]]))
    x = torch.rand(1, 1, 4, 4)
    assert bool((attribution_maps(scores, x, "cam") > 0).all())
    scores = pooled(torch.tensor([[-8.0, 1.0], [-12.0, 1.0]]))
    # Class 0 wins by the mean of the weights that is taken off.
    torch.testing.assert_close(attribution_maps(scores, x, "cam"), 2 * x[:, 0])


def test_grad_cam_reads_functions_too_and_cam_says_why_not() -> None:
    scores, x = Scores(Residual(), "none"), torch.rand(2, 1, 8, 8)
    maps = attribution_maps(scores, x, "grad_cam")
    # By hand: the last convolution's result.
    network = scores.network
    h = torch.relu(network.norm(network.stem(x)))
    last = network.inner(h).detach().requires_grad_(True)
    z = network.fc(torch.flatten(nn.functional.max_pool2d(torch.relu(last + h), 2), 1))
    z = z - z.mean(1, keepdim=True)
    (g,) = torch.autograd.grad(z.max(1).values.sum(), last)
    expected = (g.mean((2, 3), keepdim=True) * last.detach()).sum(1).clamp_min(0)
    torch.testing.assert_close(maps, expected)
    with pytest.raises(NoRuleError, match="does not follow the average"):
        attribution_maps(scores, x, "cam")
    with pytest.raises(NoRuleError, match="does not end in one linear layer"):
        attribution_maps(Scores(nn.Sequential(nn.Conv2d(1, 3, 8), nn.Flatten()), "none"), x, "cam")
