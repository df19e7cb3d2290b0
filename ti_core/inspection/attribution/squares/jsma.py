"""JSMA: how few pixels carry an image to a class. N. Papernot et al., 2016."""

from __future__ import annotations

from typing import ClassVar

import torch

from ti_core.classifier.scores import Scores
from ti_core.inspection.attribution.base import Attribution

MOST = 0.145
"""Largest share of an image's pixels that is changed, as in the publication."""
STEPS = 60
"""About the largest number of steps. Of large images more pixels are changed in a step."""


class Jsma(Attribution):
    """The pixels that carry an image to the given class, each ``1 / n`` where n pixels did it, and 0 elsewhere.

    A step sets the two pixels whose derivatives are largest to the end of their range that raises the class score.
    The publication looks for the pair with the largest product of the rise of that class and the fall of all others.
    The mean over the classes is taken off these scores, so that the fall of all others is the rise of the class, and
    the pair is that of the two largest derivatives. All channels of a pixel change together. Where the largest share of
    pixels does not carry the image there, its map is 0.
    """

    name: ClassVar[str] = "jsma"
    title: ClassVar[str] = "JSMA"
    source: ClassVar[str] = "Papernot et al. 2016"
    targeted: ClassVar[bool] = True

    def maps(self, scores: Scores, images: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        count, _, height, width = images.shape
        most = max(1, round(MOST * height * width))
        each = max(2, -(-most // STEPS))
        x, changed = (
            images.clone(),
            torch.zeros(count, height * width, dtype=torch.bool, device=images.device),
        )
        there = _answers(scores, x) == classes
        for done in range(0, most, each):
            going = (~there).nonzero()[:, 0]
            if not len(going):
                break
            x[going], places = _step(scores, x[going], classes[going], changed[going], min(each, most - done))
            changed[going] |= places
            there[going] = _answers(scores, x[going]) == classes[going]
        shares = changed / changed.sum(1, keepdim=True).clamp_min(1)
        return (shares * there[:, None]).reshape(count, height, width)


@torch.no_grad()
def _answers(scores: Scores, x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = scores(x).argmax(1)
    return found


def _step(
    scores: Scores, x: torch.Tensor, classes: torch.Tensor, changed: torch.Tensor, each: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The images after one step, and which pixels it changed, ``N x H W``."""
    with torch.enable_grad():
        given = x.detach().requires_grad_(True)
        own = scores(given).gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(own, given)
    ends = (gradient > 0).to(x)
    # A pixel that stands at its end already can raise nothing.
    rise = (gradient.abs() * (x != ends)).sum(1).flatten(1).masked_fill(changed, 0)
    best = rise.topk(min(each, rise.shape[1]), dim=1)
    places = torch.zeros_like(changed).scatter(1, best.indices, best.values > 0)
    mask = places.reshape(len(x), 1, *x.shape[2:])
    return torch.where(mask, ends, x.detach()), places
