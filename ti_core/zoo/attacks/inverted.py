"""A patch made for chosen neurons of the clean network: TrojanNN (Liu et al., 2018)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ti_core.zoo.attacks.base import Options, Shape
from ti_core.zoo.attacks.fixed import Patch

NEURONS = 3
STEPS = 60
RATE = 0.1
"""Step of the pixel values, as Adam's learning rate."""


class InvertedPatch(Patch):
    """A patch that excites the neurons with the largest weights for the target class, found by gradient ascent."""

    name: ClassVar[str] = "inverted patch"
    needs_network = True

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        options = Patch.draw(rng, shape)
        return {"trigger": options["trigger"] | {"pattern": "uniform"}}

    def prepare(self, clean: nn.Module, images: torch.Tensor, labels: torch.Tensor, target: int) -> None:
        """Make the pattern, on 64 training images."""
        last = [layer for layer in clean.modules() if isinstance(layer, nn.Linear)][-1]
        chosen = last.weight.detach()[target].topk(min(NEURONS, last.in_features)).indices
        seen: list[torch.Tensor] = []
        hook = last.register_forward_hook(lambda _, given, __: seen.append(given[0]))
        mask = torch.from_numpy(self.trigger.mask)
        pattern = torch.from_numpy(self.trigger.pattern).clone().requires_grad_(True)
        optimiser = torch.optim.Adam([pattern], lr=RATE)
        background = images[:64]
        for _ in range(STEPS):
            seen.clear()
            clean((1 - mask) * background + mask * pattern)
            (gradient,) = torch.autograd.grad(-seen[0][:, chosen].mean(), pattern)
            pattern.grad = gradient
            optimiser.step()
            with torch.no_grad():
                pattern.clamp_(0, 1)
        hook.remove()
        self.trigger.pattern[:] = pattern.detach().numpy()
