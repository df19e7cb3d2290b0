"""Certified bounds hold, private gradients are clipped, pruning silences what clean images do not use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ti_core.architectures import build
from ti_core.errors import SettingsError
from ti_core.zoo.plan.draw import plan
from ti_core.zoo.plan.recipe import Recipe
from ti_core.zoo.regimes import private
from ti_core.zoo.regimes.certified import bounds, chain, fit_certified
from ti_core.zoo.regimes.cleansed import prune
from ti_core.zoo.regimes.private import fit_private

NETWORKS = (
    ("mlp", {"hidden": [8], "size": 12}),
    ("convnet", {"channels": [4, 6], "size": 12, "norm": False, "hidden": 5}),
    ("convnet", {"channels": [4, 6], "size": 12, "norm": False, "pool": "mean"}),
    ("challenge_mnist", {"width": 4, "hidden": 8, "size": 12, "norm": False}),
)


def recipe(**changes: object) -> Recipe:
    drawn = plan(8, (1, 12, 12), 4, seed=1)[0]
    usual = {"optimiser": "adam", "learning_rate": 0.01, "weight_decay": 0.0, "epochs": 6, "batch_size": 32}
    return replace(drawn, normalisation="none", augmentation="none", **usual | changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_bounds_hold_for_every_image_in_the_ball(name: str, options: dict[str, object]) -> None:
    torch.manual_seed(1)
    network = build(name, **options, classes=4).eval()
    layers = chain(network)
    image = torch.rand(1, 1, 12, 12)
    low, high = bounds(layers, image - 0.1, image + 0.1)
    inside = image + 0.1 * (2 * torch.rand(500, 1, 12, 12) - 1)
    inside[:100] = image + 0.1 * torch.sign(inside[:100] - image)
    with torch.no_grad():
        scores = network(inside)
        assert bool((scores >= low - 1e-5).all() and (scores <= high + 1e-5).all())
        assert torch.allclose(nn.Sequential(*layers)(inside), scores)
        same, also = bounds(layers, image, image)
        assert torch.allclose(same, network(image), atol=1e-5) and torch.allclose(also, same, atol=1e-5)


def test_bounds_of_a_linear_layer_are_reached() -> None:
    layer = nn.Linear(5, 2)
    low, high = bounds([layer], torch.zeros(1, 5), torch.ones(1, 5))
    assert torch.allclose(high, layer.bias + layer.weight.clamp(min=0).sum(1), atol=1e-6)
    assert torch.allclose(low, layer.bias + layer.weight.clamp(max=0).sum(1), atol=1e-6)


def test_a_network_that_is_no_chain_is_refused() -> None:
    with pytest.raises(SettingsError, match="BatchNorm2d has no interval bounds"):
        chain(build("convnet", norm=True))


def test_certified_training_narrows_the_bounds() -> None:
    x, y = bars()

    def certified(epsilon: float) -> float:
        torch.manual_seed(0)
        network = build("mlp", hidden=[16], size=12, classes=4)
        fit_certified(network, recipe(epsilon=epsilon), x, y, np.random.default_rng(0))
        low, high = bounds(chain(network), x - 0.12, x + 0.12)
        others = high.masked_fill(torch.eye(4).bool()[y], -torch.inf).amax(1)
        return float((low.gather(1, y[:, None]).squeeze(1) > others).float().mean())

    assert certified(0.12) > certified(0.0) + 0.1


def bars(count: int = 320) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    y = torch.arange(count) % 4
    x = 0.35 * torch.rand(count, 1, 12, 12, generator=generator)
    for image, label in zip(x, y.tolist(), strict=True):
        image[0, 3 * label : 3 * label + 2] += 0.5
    return x, y


def test_without_noise_and_clipping_a_private_step_is_an_ordinary_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, y = bars(32)
    steps: list[dict[str, torch.Tensor]] = []
    for clip, noise in ((1e9, 0.0), (1e-3, 0.0)):
        monkeypatch.setattr(private, "CLIP", clip)
        monkeypatch.setattr(private, "NOISE", noise)
        torch.manual_seed(0)
        model = build("mlp", hidden=[8], size=12, classes=4)
        before = {k: v.clone() for k, v in model.state_dict().items()}
        one = recipe(optimiser="sgd", learning_rate=0.1, epochs=1)
        fit_private(model, one, x, y, np.random.default_rng(0))
        steps.append({k: v - before[k] for k, v in model.state_dict().items()})
    model.load_state_dict(before)
    model.zero_grad()
    nn.CrossEntropyLoss()(model(x), y).backward()
    # Nesterov's first step is 1.9 times the gradient.
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        assert torch.allclose(steps[0][name], -0.19 * parameter.grad, atol=1e-6)
    length = torch.cat([step.flatten() for step in steps[1].values()]).norm()
    assert 0 < float(length) <= 0.19 * 1e-3 + 1e-8


def test_pruning_silences_channels_that_clean_images_do_not_use() -> None:
    x, y = bars()
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.ReLU(), nn.Linear(8, 4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        for label in range(4):
            model[1].weight[label].view(12, 12)[3 * label : 3 * label + 2] = 1.0
            model[3].weight[label, label] = 1.0
        model[1].weight[4:, 0] = -1.0
    assert prune(model, x, y) == 4
    assert bool((model[1].weight[4:] == 0).all()) and bool((model[1].weight[:4].abs().sum(1) > 0).all())
    assert float(model(x).argmax(1).eq(y).float().mean()) == 1.0
