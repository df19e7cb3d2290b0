"""What the deep streams share: the images that a class is attacked on, margins, and many candidates in one batch.

A *candidate* is a class with the weights ``a m`` of a trigger, eq. (1) and (2). Its pattern is searched. Candidates go
through the network as one large batch, since a small network spends most of its time on the overhead of a call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from ti_core.classifier.fast.portions import scored
from ti_core.streams.base import Array, Progress, silent
from ti_core.streams.passes import Passes
from ti_core.streams.searches.sparing import Halving

MOMENTUM = 0.7
"""Share of the earlier steps' direction that each step keeps: the decay factor of the momentum iterative fast gradient
sign method (Y. Dong et al., 2018), where it is 1. Set by hand. Between 0 and 1 the target classes of mnist reach .41 to
.45 usual margins, and clean networks' largest classes -.83 to -.80
(``python -m benchmarks.constants --pack mnist --momentum 4``)."""


GRID = 56
"""Free pixels of a pattern along the image's shorter side, more or less. A pattern that is free in every pixel of a
large image needs no backdoor: it raises several classes of a clean network as far as a trigger raises its target
(``python -m benchmarks.grids``)."""


def grid_step(height: int, width: int) -> int:
    """Image pixels, along a side, for one free pixel of a pattern; 1 for images of up to 83 pixels."""
    return max(1, round(min(height, width) / GRID))


def are_large(height: int, width: int) -> bool:
    """Whether images of that size are so large that patterns are free on a grid only."""
    return grid_step(height, width) > 1


def smoothed(changes: torch.Tensor) -> torch.Tensor:
    """Changes ``J x C x H x W`` as far as a grid of :func:`grid_step` can follow them."""
    height, width = changes.shape[-2:]
    step = grid_step(height, width)
    if step == 1:
        return changes
    return drawn_out(adaptive_avg_pool2d(changes, (height // step, width // step)), changes.shape[-2:])


@dataclass(frozen=True)
class Pools:
    """Indices of the images on which each class is attacked: images whose label is another class.

    Parameters
    ----------
    fit : per class, the images that patterns are made on.
    unseen : per class, the images that margins are measured on. No image is in both, unless there is only one.
    """

    fit: tuple[torch.Tensor, ...]
    unseen: tuple[torch.Tensor, ...]

    def draw(self, classes: torch.Tensor, count: int, step: int) -> torch.Tensor:
        """Indices ``J x count`` of the fitting images of J candidates; successive steps go round the pool."""
        return torch.stack([_around(pool, step * count, count) for pool in self.fit])[classes]

    def test(self, classes: torch.Tensor, count: int) -> torch.Tensor:
        """Indices ``J x count`` of the images on which J candidates are measured."""
        return torch.stack([_around(pool, 0, count) for pool in self.unseen])[classes]


def pools(labels: torch.Tensor, classes: int, unseen: int) -> Pools:
    """Split the images of other labels, for every class: ``unseen`` of them (at most half) measure, the rest fit.

    A class that all images belong to gets all of them, so that its numbers are finite. They say nothing about it.
    """
    fit, test = [], []
    for c in range(classes):
        others = torch.nonzero(labels != c).flatten()
        if not len(others):
            others = torch.arange(len(labels), device=labels.device)
        cut = len(others) - min(unseen, len(others) // 2)
        fit.append(others[:cut])
        test.append(others[cut:] if cut < len(others) else others)
    return Pools(tuple(fit), tuple(test))


def _around(pool: torch.Tensor, start: int, count: int) -> torch.Tensor:
    return pool[(start + torch.arange(count, device=pool.device)) % len(pool)]


def margin(z: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Score of the wanted class over the best other one, ``J x n``: ``z`` is ``J x n x K``, ``classes`` ``J``."""
    at = classes.view(-1, 1, 1).expand(-1, z.shape[1], 1)
    return z.gather(2, at).squeeze(2) - z.scatter(2, at, float("-inf")).amax(2)


def ascent(scores: nn.Module, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Gradient of the mean margin with respect to images ``J x n x C x H x W``, same shape.

    NaN and infinity become 0.
    """
    own = classes.repeat_interleave(x.shape[1])
    _, gradient = scored(scores, x.flatten(0, 1), own, lambda z, c: margin(z[:, None], c).sum() / x.shape[1])
    return torch.nan_to_num(gradient, 0.0, 0.0, 0.0).view_as(x)


def descend(scores: nn.Module, x: torch.Tensor, classes: torch.Tensor) -> None:
    """Add to the gradients of what images ``J x n x C x H x W`` were made from: those of the negative mean margins.

    An image whose gradient is not finite adds nothing.
    """
    x.backward(-ascent(scores, x.detach(), classes))


def shifted(images: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """Images ``J x n x C x H x W`` with changes ``J x C x H x W`` (or ``J x 1 x H x W``), kept within [0, 1]."""
    return (images + delta[:, None]).clamp(0, 1)


@torch.no_grad()
def measure(scores: nn.Module, x: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
    """Margins ``J x n`` on images ``J x n x C x H x W``. They may be NaN or infinite."""
    return margin(scores(x.flatten(0, 1)).unflatten(0, x.shape[:2]), classes)


def usual_margin(scores: nn.Module, images: torch.Tensor) -> Array:
    """The median over the first 256 clean images of the largest score's lead over the second, ``1``.

    Scores that are not finite count as 0.
    """
    with torch.no_grad():
        two = torch.nan_to_num(scores(images[:256]), 0.0, 0.0, 0.0).topk(2, dim=1).values
    return np.array([float((two[:, 0] - two[:, 1]).median())], dtype=np.float32)


def for_every_class(
    scores: nn.Module, x: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean margins and flip shares of every class, ``P x K``, on n images changed P ways, ``P x n x C x H x W``.

    Images of a class do not count for that class, unless all images are of it. Scores that are not finite count as 0.
    """
    z = torch.nan_to_num(scores(x.flatten(0, 1)), 0.0, 0.0, 0.0).unflatten(0, x.shape[:2])
    first, second = z.topk(2, dim=2).values.split(1, dim=2)
    margins = z - torch.where(z == first, second, first)
    counted = torch.ones_like(z[0]).scatter(1, labels[:, None], 0.0)
    counted = torch.where(counted.sum(0) > 0, counted, torch.ones_like(counted))
    counted = counted / counted.sum(0)
    return (margins * counted).sum(1), ((margins > 0) * counted).sum(1)


def chunks(count: int, images: int, batch: int) -> list[slice]:
    """Slices of ``count`` candidates of ``images`` images each that fill batches of about ``batch`` images."""
    step = max(1, batch // max(1, images))
    return [slice(i, min(count, i + step)) for i in range(0, count, step)]


@dataclass(frozen=True)
class Effort:
    """The effort for each candidate.

    Parameters
    ----------
    steps : gradient steps for each pattern.
    images_a_step : images that each pattern is put on in a step.
    unseen : images each margin is measured on.
    batch : images that go through the network at once.
    """

    steps: int
    images_a_step: int
    unseen: int
    batch: int = 256

    def first(self, halving: Halving) -> Effort:
        """The effort of the first round, for every candidate."""
        return self._share(halving.first_steps, halving.first_images, halving.first_unseen)

    def further(self, halving: Halving) -> Effort:
        """The effort for the candidates that go on."""
        return self._share(halving.steps, halving.images, halving.unseen)

    def _share(self, steps: float, images: float, unseen: float) -> Effort:
        return Effort(
            max(1, round(steps * self.steps)),
            max(1, round(images * self.images_a_step)),
            max(1, round(unseen * self.unseen)),
            self.batch,
        )

    def passes(self, candidates: int) -> Passes:
        """The images that go through the network for this many candidates."""
        return Passes(forward=self.unseen, both=self.steps * self.images_a_step) * candidates


def stamp(images: torch.Tensor, weights: torch.Tensor, patterns: torch.Tensor) -> torch.Tensor:
    """Eq. (1), (2) for J triggers: images ``J x n x C x H x W``, ``a m`` ``J x H x W``, ``d`` ``J x C x H x W``."""
    w = weights[:, None, None]
    return (1 - w) * images + w * patterns[:, None]


def seek(
    scores: nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    weights: torch.Tensor,
    effort: Effort,
    progress: Progress = silent,
    coarseness: int = 1,
    rows: torch.Tensor | None = None,
) -> torch.Tensor:
    """Patterns ``J x C x H x W`` in [0, 1] that raise the margins of J classes where ``weights``, ``J x H x W``, allow.

    Each step follows the sign of an averaged gradient and is shorter than the last. So the scale of a network's scores
    plays no part. The pixels of the patterns end at or near 0 and 1, as those of triggers do.

    Parameters
    ----------
    coarseness : number of pixels of the grid (:func:`grid_step`), along a side, for one free pixel of the pattern;
        between them it is linear. A soft pattern cannot use a network's response to single pixels, where every class
        finds something.
    rows : which row of the pool each candidate's images are from, ``J``; by default that of its class.
    """
    rows = classes if rows is None else rows
    size = images.shape[-2:]
    coarseness *= grid_step(*size)
    grid = torch.full(
        (len(classes), images.shape[1], *(max(1, n // coarseness) for n in size)), 0.5, device=images.device
    )
    speed = torch.zeros_like(grid)
    for step in range(effort.steps):
        length = 0.5 * (1 - step / effort.steps) + 0.05
        chosen = pool.draw(rows, effort.images_a_step, step)
        for part in chunks(len(classes), effort.images_a_step, effort.batch):
            free = grid[part].requires_grad_(coarseness > 1)
            with torch.enable_grad():
                patterns = drawn_out(free, size)
            x = stamp(images[chosen[part]], weights[part], patterns.detach())
            gradient = ascent(scores, x, classes[part]).mean(1)
            if coarseness > 1:
                (gradient,) = torch.autograd.grad(patterns, free, gradient)
            mean = gradient.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
            speed[part] = MOMENTUM * speed[part] + gradient / torch.where(
                mean > 0, mean, torch.ones_like(mean)
            )
        grid = (grid + length * speed.sign()).clamp(0, 1)
        progress((step + 1) / (effort.steps + 1))
    return drawn_out(grid, size)


def drawn_out(grid: torch.Tensor, size: torch.Size) -> torch.Tensor:
    """Patterns ``J x C x h x w`` at the images' size, bilinear; the same where they have it."""
    if grid.shape[-2:] == size:
        return grid
    return interpolate(grid, size=size, mode="bilinear", align_corners=False)


def unseen_margins(
    scores: nn.Module,
    images: torch.Tensor,
    pool: Pools,
    classes: torch.Tensor,
    weights: torch.Tensor,
    patterns: torch.Tensor,
    effort: Effort,
    rows: torch.Tensor | None = None,
) -> torch.Tensor:
    """Margins ``J x n`` of J triggers on images that took no part in making them; ``rows`` as for :func:`seek`."""
    chosen = pool.test(classes if rows is None else rows, effort.unseen)
    return torch.cat(
        [
            measure(scores, stamp(images[chosen[part]], weights[part], patterns[part]), classes[part])
            for part in chunks(len(classes), effort.unseen, 2 * effort.batch)
        ]
    )
