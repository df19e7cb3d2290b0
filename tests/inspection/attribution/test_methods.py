from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.inspection.attribution.networks import linear
from ti_core.classifier.scores import Scores
from ti_core.errors import NoRuleError, SettingsError
from ti_core.inspection.attribution.methods import METHODS, attribution_maps, unfit
from ti_core.settings import ATTRIBUTIONS


def test_every_setting_has_a_method() -> None:
    assert tuple(METHODS) == ATTRIBUTIONS
    assert len({method.title for method in METHODS.values()}) == len(METHODS)
    assert all(method.source[-4:].isdigit() for method in METHODS.values())


def test_a_method_without_a_rule_for_the_network_says_what_is_missing() -> None:
    scores, x = linear(torch.rand(3, 64)), torch.rand(1, 1, 8, 8)
    with pytest.raises(NoRuleError, match="Grad-CAM has no rule for this network: it has no convolution"):
        attribution_maps(scores, x, "grad_cam")
    found = unfit(scores, x)
    assert set(found) == {"cam", "grad_cam", "grad_cam_plus", "smooth_grad_cam_plus"}
    assert found["cam"].endswith("does not follow the average of a feature map.")
    with pytest.raises(SettingsError, match="unknown"):
        attribution_maps(scores, x, "tea_leaves")
    with pytest.raises(NoRuleError, match="no class to carry"):
        attribution_maps(scores, x, "jsma")


@pytest.mark.parametrize("method", ATTRIBUTIONS)
def test_every_method_leaves_network_and_images_as_they_were(method: str) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )
    scores, x = Scores(network, "none"), torch.rand(2, 1, 8, 8)
    before, image, drawn = scores(x).clone(), x.clone(), torch.get_rng_state()
    maps = attribution_maps(scores, x, method, target=1)
    assert maps.shape == (2, 8, 8) and bool((maps >= 0).all()) and bool(torch.isfinite(maps).all())
    assert torch.equal(maps, attribution_maps(scores, x, method, target=1))
    assert torch.equal(scores(x), before) and torch.equal(x, image) and not x.requires_grad
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(p.grad is None for p in network.parameters())
    assert not any(m._forward_hooks or m._backward_hooks for m in network.modules())
