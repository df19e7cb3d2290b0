"""Ways of training clean networks that detectors take for backdoored ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

LARGEST_CHANGE = {1: 0.1, 3: 0.015}
"""Largest change of a pixel in adversarial training, by the number of channels."""
HIDDEN = 0.3
"""Share of an image's side that augmentation hides."""

Change = Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]
"""Makes the images that are trained on, from a network of images in [0, 1], images and labels."""


@dataclass(frozen=True)
class Regime:
    """How clean networks are trained.

    Parameters
    ----------
    change : of the training images.
    share : of the training images that are used.
    """

    change: Change
    share: float = 1.0


def as_they_are(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return images


def adversarial(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """One step of the gradient's sign from a random start (fast adversarial training: Wong et al., 2020)."""
    reach = LARGEST_CHANGE[3 if images.shape[1] == 3 else 1]
    start = (images + reach * (2 * torch.rand_like(images) - 1)).requires_grad_(True)
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(start), labels), start)
    change = (start - images + 1.25 * reach * gradient.sign()).clamp(-reach, reach)
    return (images + change).detach().clamp(0, 1)


def augmented(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Shifted images with noise, and a square of each batch hidden (Cutout: DeVries and Taylor, 2017)."""
    down, right = (int(i) for i in torch.randint(-3, 4, (2,)))
    moved = images.roll((down, right), (2, 3)) + 0.1 * torch.randn_like(images)
    side = round(HIDDEN * images.shape[2])
    top, left = (int(torch.randint(0, n - side + 1, ())) for n in images.shape[2:])
    moved[..., top : top + side, left : left + side] = 0.5
    return moved.clamp(0, 1)


USUAL = Regime(as_they_are)
HARD = {
    "clean, adversarially trained": Regime(adversarial),
    "clean, barely trained": Regime(as_they_are, 0.03),
    "clean, heavily augmented": Regime(augmented),
}
