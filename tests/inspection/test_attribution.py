from __future__ import annotations

import pytest
import torch
from torch import nn

from ti_core.classifier.scores import Scores
from ti_core.errors import SettingsError
from ti_core.inspection.attribution import TITLES, attribution_maps, available
from ti_core.settings import ATTRIBUTIONS


def linear(weights: torch.Tensor) -> Scores:
    """Scores ``w_k . x``; the mean over the classes is taken off by :class:`Scores`."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights.shape[1], len(weights), bias=False))
    network[1].weight.data = weights  # type: ignore[assignment]
    return Scores(network, "none")


def test_every_setting_has_a_method_and_a_title() -> None:
    assert set(TITLES) == set(ATTRIBUTIONS)


def test_of_a_linear_network_all_gradient_methods_are_known() -> None:
    weights = torch.zeros(2, 16)
    weights[0], weights[1, 3] = 0.0, 4.0
    scores, x = linear(weights), torch.rand(2, 1, 4, 4) * 0.5 + 0.25
    # Centred, the score of class 1 is half its weights' own: 2 on pixel 3, and 0 elsewhere.
    gradient = torch.zeros(4, 4)
    gradient[0, 3] = 2.0
    for method in ("saliency", "smoothgrad"):
        torch.testing.assert_close(attribution_maps(scores, x, method), gradient.expand(2, 4, 4))
    for method in ("input_x_gradient", "integrated_gradients"):
        torch.testing.assert_close(
            attribution_maps(scores, x, method), gradient * x[:, 0], rtol=1e-4, atol=1e-6
        )


def test_methods_without_a_rule_for_the_network_say_so() -> None:
    scores, x = linear(torch.rand(3, 64)), torch.rand(1, 1, 8, 8)
    with pytest.raises(SettingsError, match="Grad-CAM has no rule"):
        attribution_maps(scores, x, "grad_cam")
    assert "grad_cam" not in available(scores, x) and "occlusion" in available(scores, x)
    with pytest.raises(SettingsError, match="unknown"):
        attribution_maps(scores, x, "tea_leaves")


def test_a_convolution_has_grad_cam_and_the_network_is_left_as_it_was() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 3))
    scores, x = Scores(network, "none"), torch.rand(3, 1, 8, 8)
    before, image = scores(x).clone(), x.clone()
    for method in available(scores, x[:1]):
        maps = attribution_maps(scores, x, method)
        assert maps.shape == (3, 8, 8) and bool((maps >= 0).all()) and bool(torch.isfinite(maps).all())
    assert "grad_cam" in available(scores, x[:1])
    assert torch.equal(scores(x), before) and torch.equal(x, image) and not x.requires_grad
    assert all(p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
