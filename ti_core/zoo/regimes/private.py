"""Differentially private training: Abadi et al., "Deep learning with differential privacy", CCS 2016."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, vmap

from ti_core.zoo.plan.draw import Recipe
from ti_core.zoo.training.loop import augment, batches_of, optimiser_of

CLIP = 1.0
"""Largest norm C of one image's gradient."""
NOISE = 0.8
"""Standard deviation of the noise on a batch's summed gradients, in units of C."""


def fit_private(
    model: nn.Module, recipe: Recipe, x: torch.Tensor, y: torch.Tensor, rng: np.random.Generator
) -> None:
    """DP-SGD: every image's gradient is clipped to :data:`CLIP`, and noise is added to the sum.

    Parameters
    ----------
    model : a network without batch norm. Its statistics would mix the images of a batch.
    x, y : images ``N x C x H x W`` in [0, 1] and labels ``N``.
    """
    optimiser = optimiser_of(model, recipe)
    steps = recipe.epochs * -(-len(x) // recipe.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps + 1)
    parameters = dict(model.named_parameters())
    noise = torch.Generator().manual_seed(recipe.seed)

    def loss(own: dict[str, torch.Tensor], image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(functional_call(model, own, (image[None],)), label[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    model.train()
    for _ in range(recipe.epochs):
        for index in batches_of(len(x), recipe.batch_size, rng):
            held = {name: p.detach() for name, p in parameters.items()}
            gradients = each(held, augment(x[index], recipe.augmentation, rng), y[index])
            norms = torch.stack([g.flatten(1).norm(dim=1) for g in gradients.values()]).norm(dim=0)
            factors = (CLIP / (norms + 1e-6)).clamp(max=1.0)
            for name, own in gradients.items():
                total = torch.tensordot(factors, own, dims=1)
                spread = NOISE * CLIP * torch.randn(total.shape, generator=noise)
                parameters[name].grad = (total + spread) / len(index)
            optimiser.step()
            schedule.step()
    model.eval()
