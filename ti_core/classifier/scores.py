"""A network's class scores on images in [0, 1]."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ti_core.classifier.normalisation import Normalise

Place = int | str | None
"""Where the class scores are in what a network returns: an index, a key, or None where it returns them alone."""
BATCH = 256
LARGE = 64
"""From this side on, smaller batches."""


class Scores(nn.Module):
    """Images ``N x C x H x W`` in [0, 1] to class scores ``N x K`` whose mean over the classes is 0.

    Centring makes logits and log-probabilities equal, so that a network with a final softmax is treated like one
    without.

    Parameters
    ----------
    network : takes images after :meth:`prepared`.
    normalisation : a name of :data:`~ti_core.classifier.normalisation.NORMALISATIONS`.
    output : "logits", or "probabilities", whose logarithm is taken.
    side : images are scaled to ``side x side``; None for as they are.
    order : "rgb", or "bgr" where the network wants blue first.
    place : where the scores are in what the network returns.
    """

    def __init__(
        self,
        network: nn.Module,
        normalisation: str,
        output: str = "logits",
        side: int | None = None,
        order: str = "rgb",
        place: Place = None,
    ) -> None:
        super().__init__()
        self.normalise = Normalise(normalisation)
        self.network = network
        self.output = output
        self.side = side
        self.order = order
        self.place = place
        self.eval()
        self.requires_grad_(False)

    def prepared(self, x: torch.Tensor) -> torch.Tensor:
        """Images prepared for the network: scaled to its size, normalised, channels in its order."""
        if self.side is not None:
            x = F.interpolate(x, size=(self.side, self.side), mode="bilinear", antialias=True)
        x = self.normalise(x)
        return x.flip(1) if self.order == "bgr" else x

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = scores_in(self.network(self.prepared(x)), self.place)
        if self.output == "probabilities":
            z = z.clamp_min(1e-12).log()
        return z - z.mean(dim=1, keepdim=True)


def scores_in(returned: Any, place: Place) -> torch.Tensor:
    """The class scores ``N x K`` among what a network returned; scores of one-pixel maps count too."""
    z: torch.Tensor = returned if place is None else returned[place]
    return z if z.ndim == 2 else z.flatten(1)


def batches(scores: Scores, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Images in portions that go through a network of that size at once."""
    side = scores.side or int(images.shape[2])
    parts: tuple[torch.Tensor, ...] = images.split(BATCH if side < LARGE else BATCH // 8)
    return parts
