"""Networks cleansed of a backdoor: by fine-tuning, or by fine-pruning (Liu et al., RAID 2018)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.loop import fit

CLEAN_SHARE = 0.25
"""Share of the training images that the defender has. They carry no triggers."""
LOST = 0.03
"""Maximum loss of clean accuracy by pruning, measured on those images."""


def fine_tune_clean(
    model: nn.Module, recipe: Recipe, x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator
) -> None:
    """Train on :data:`CLEAN_SHARE` of the clean images, for as many epochs as before."""
    chosen = torch.from_numpy(rng.permutation(len(x))[: round(CLEAN_SHARE * len(x))])
    again = replace(recipe, attack=None, seed=recipe.seed + 1, small_epochs=0)
    fit(model, again, x[chosen], y[chosen], rng)
    model.eval()


@torch.no_grad()
def prune(model: nn.Module, x: torch.Tensor, y: torch.Tensor, images: int = 512) -> int:
    """Prune the channels of the last convolution that clean images activate least. Accuracy may fall by :data:`LOST`.

    In a network without convolutions, units of the last hidden layer are pruned.

    Returns
    -------
    The number of pruned channels.
    """
    model.eval()
    convolutions = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    layer: nn.Conv2d | nn.Linear = convolutions[-1] if convolutions else linear[-2]
    x, y = x[:images], y[:images]
    seen: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _, __, out: seen.append(out.float()))
    start = float(model(x).argmax(1).eq(y).float().mean())
    hook.remove()
    use = seen[0].transpose(0, 1).flatten(1).relu().mean(1)
    for done, channel in enumerate(use.argsort().tolist()):
        kept = layer.weight[channel].clone(), None if layer.bias is None else layer.bias[channel].clone()
        layer.weight[channel] = 0
        if layer.bias is not None:
            layer.bias[channel] = 0
        if float(model(x).argmax(1).eq(y).float().mean()) < start - LOST:
            layer.weight[channel] = kept[0]
            if layer.bias is not None and kept[1] is not None:
                layer.bias[channel] = kept[1]
            return done
    return len(use)
