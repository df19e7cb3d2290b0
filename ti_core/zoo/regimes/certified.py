"""Certified training by interval bound propagation: Gowal et al., "Scalable verified training", ICCV 2019."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ti_core.classifier.normalisation import NORMALISATIONS
from ti_core.errors import SettingsError
from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.loop import augment, batches_of, optimiser_of

MONOTONE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.MaxPool2d)
LINEAR = (nn.Conv2d, nn.Linear)
FREE = (nn.Flatten, nn.Identity, nn.AvgPool2d, nn.AdaptiveAvgPool2d)
WARM_UP = 0.6
"""Share of the steps over which the radius grows from 0, and the weight of the bounds from 0 to 1/2."""


def chain(network: nn.Module) -> list[nn.Module]:
    """The layers of a network without branches, in order.

    Raises
    ------
    SettingsError : a layer has no interval bounds here.
    """
    layers: list[nn.Module] = []
    for layer in network.modules():
        if any(True for _ in layer.children()):
            continue
        if not isinstance(layer, (*MONOTONE, *LINEAR, *FREE)):
            raise SettingsError(f"{type(layer).__name__} has no interval bounds.")
        if (
            isinstance(layer, nn.Linear)
            and layers
            and not any(isinstance(p, (nn.Flatten, nn.Linear)) for p in layers)
        ):
            layers.append(nn.Flatten())
        layers.append(layer)
    return layers


def bounds(
    layers: list[nn.Module], low: torch.Tensor, high: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Lower and upper bounds of the chain's output over all inputs between ``low`` and ``high``."""
    for layer in layers:
        if isinstance(layer, LINEAR):
            middle, radius = (high + low) / 2, (high - low) / 2
            out = layer(middle)
            if isinstance(layer, nn.Conv2d):
                spread = F.conv2d(radius, layer.weight.abs(), None, layer.stride, layer.padding)
            else:
                spread = F.linear(radius, layer.weight.abs())
            low, high = out - spread, out + spread
        else:
            low, high = layer(low), layer(high)
    return low, high


def fit_certified(
    network: nn.Module, recipe: Recipe, x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator
) -> None:
    """Train the network to classify all images in the L-infinity ball of radius ``recipe.epsilon`` correctly.

    Parameters
    ----------
    network : without its normalisation.
    x, y : images ``N x C x H x W`` in [0, 1] and labels ``N``.
    """
    layers, scale = chain(network), NORMALISATIONS[recipe.normalisation]
    mean = torch.tensor(scale.mean).view(1, -1, 1, 1)
    std = torch.tensor(scale.std).view(1, -1, 1, 1)
    optimiser = optimiser_of(network, recipe)
    steps = recipe.epochs * -(-len(x) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps + 1)
    network.train()
    done = 0
    for _ in range(recipe.epochs):
        for index in batches_of(len(x), recipe.batch_size, rng):
            batch, labels = augment(x[index], recipe.augmentation, rng), y[index]
            share = min(1.0, done / (WARM_UP * steps))
            ball = (
                (b - mean) / std for b in (batch - share * recipe.epsilon, batch + share * recipe.epsilon)
            )
            low, high = bounds(layers, *ball)
            right = F.one_hot(labels, low.shape[1]).bool()
            loss = (1 - share / 2) * F.cross_entropy(network((batch - mean) / std), labels)
            loss = loss + share / 2 * F.cross_entropy(torch.where(right, low, high), labels)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            done += 1
    network.eval()
