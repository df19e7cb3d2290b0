"""How far images' values depart from the statistics that a batch normalisation stored in training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from ti_core.reconstruction.layers.file_layers import FileLayer

MOST = 4.0
"""Maximum departure of one channel, so that a few channels do not decide."""
LEAST = 1e-3
"""Variances below this share of the layer's mean variance count as equal: such channels are dead."""


def departure(x: torch.Tensor, layer: FileLayer) -> float:
    """Mean over the channels of the divergence between the stored and the measured Gaussian.

    Parameters
    ----------
    x : what arrives at the layer, ``N x C x H x W`` or ``N x C``.
    """
    return _departure(x, layer.tensors["mean"], layer.tensors["var"])


def _departure(x: torch.Tensor, mean: torch.Tensor, var: torch.Tensor) -> float:
    dims = [0, *range(2, x.ndim)]
    if x.ndim < 2 or x.shape[1] != len(mean) or x.shape[0] < 2:
        return MOST
    found = x.mean(dims)
    seen = (x.square().mean(dims) - found.square()).clamp_min(0)
    floor = LEAST * float(var.mean()) + 1e-12
    stored, measured = var.clamp_min(0) + floor, seen + floor
    ratio = measured / stored
    divergence = 0.5 * (ratio + (found - mean) ** 2 / stored - 1 - ratio.log())
    divergence = torch.nan_to_num(divergence, nan=MOST, posinf=MOST, neginf=MOST)
    return float(divergence.clamp(0, MOST).mean())


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a batch normalisation, which stores statistics."""
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


@contextmanager
def watched(network: nn.Module) -> Iterator[list[float]]:
    """The departures at every batch normalisation of a network that images are sent through meanwhile.

    The list is filled when the context ends. Of several passes the last counts.
    """
    found: list[float] = []
    seen: dict[int, float] = {}

    def hook(module: nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        mean, var = module.running_mean, module.running_var
        assert isinstance(mean, torch.Tensor) and isinstance(var, torch.Tensor)
        seen[id(module)] = _departure(given[0], mean, var)

    norms = filter(is_norm, network.modules())
    hooks = [norm.register_forward_pre_hook(hook) for norm in norms]
    try:
        yield found
    finally:
        for one in hooks:
            one.remove()
    found += seen.values()


@torch.enable_grad()
def drift(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """How far a network is from where training ends: at the right layers the gradients of the loss cancel out.

    Each unit's gradient is summed over an image. Its mean over the images is compared with its standard error: the
    squared ratio is about 1 in the network that was trained, and more in one whose weights were trained for another.

    Parameters
    ----------
    images, labels : ``N x C x H x W`` as the network takes them, and their classes ``N``.

    Returns
    -------
    The mean of the squared ratio over units and layers, each unit's at most 50.
    """
    outputs: list[torch.Tensor] = []

    def hook(module: nn.Module, given: tuple[torch.Tensor, ...], returned: torch.Tensor) -> None:
        outputs.append(returned)

    weighted = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [module.register_forward_hook(hook) for module in weighted]
    gradients: list[list[torch.Tensor]] = []
    try:
        for part, own in zip(images.split(64), labels.split(64), strict=True):
            outputs.clear()
            loss = F.cross_entropy(network(part.detach().requires_grad_(True)), own, reduction="sum")
            gradients.append([_by_image(g) for g in torch.autograd.grad(loss, outputs)])
    finally:
        for one in hooks:
            one.remove()
    ratios = []
    for layer in zip(*gradients, strict=True):
        g = torch.cat(layer)
        alive = g.abs().sum(0) > 0
        error = g.std(0) / len(g) ** 0.5
        squared = (g.mean(0) / error.clamp_min(1e-12)).square()[alive].clamp_max(50)
        ratios += [float(squared.mean())] if len(squared) else []
    found = sum(ratios) / max(1, len(ratios))
    return found if math.isfinite(found) else 50.0


def _by_image(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.sum((2, 3)) if gradient.ndim == 4 else gradient
