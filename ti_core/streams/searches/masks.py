"""Masks with patterns: per class the smallest that flips images to it, all classes in one batch."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F

from ti_core.classifier.fast.copying import fast_copy
from ti_core.classifier.fast.portions import scored
from ti_core.streams.base import Array, Progress, silent
from ti_core.streams.passes import Passes
from ti_core.streams.searches.search import (
    Effort,
    chunks,
    drawn_out,
    grid_step,
    pools,
    stamp,
    unseen_margins,
)
from ti_core.streams.searches.sparing import Halving
from ti_core.streams.statistics import as_array

FIRST = 784
"""Pixels of the image for which the first weight was chosen."""


@dataclass(frozen=True)
class InversionSearch:
    """How masks and patterns are optimised.

    On the MNIST pack's fitted members, four times the work (120 steps of 16 images at a rate of 0.2) gives no better
    AUC. No class is stopped early, since masks still shrink in the last steps.

    Parameters
    ----------
    steps, learning_rate : of Adam, on the logits of mask and pattern.
    images_a_step, unseen, batch : images per class and step, images measured on, images at once.
    success : share of images that must flip before a mask counts, 0 to 1.
    weight, factor, patience : first weight of the mask's norm. Every ``patience`` steps it is multiplied by ``factor``
        if enough images flipped, else divided by it.
    """

    steps: int = 40
    learning_rate: float = 0.5
    images_a_step: int = 12
    unseen: int = 48
    batch: int = 256
    success: float = 0.95
    weight: float = 3e-3
    factor: float = 2.0
    patience: int = 2

    def passes(self, classes: int) -> Passes:
        """The images that a search of this many classes sends through the network."""
        return Passes(forward=self.unseen, both=self.steps * self.images_a_step) * classes

    def rounds(self, halving: Halving) -> tuple[InversionSearch, InversionSearch]:
        """The first round, for every class, and the second, which goes on from there."""
        effort = Effort(self.steps, self.images_a_step, self.unseen)
        one, two = effort.first(halving), effort.further(halving)
        return (
            replace(self, steps=one.steps, images_a_step=one.images_a_step, unseen=one.unseen),
            replace(self, steps=two.steps - one.steps, images_a_step=two.images_a_step, unseen=two.unseen),
        )


@dataclass(frozen=True)
class Inverted:
    """Triggers of J classes.

    Parameters
    ----------
    masks, patterns : ``J x H x W`` and ``J x C x H x W``, in [0, 1].
    norms : the masks' L1 norms in pixels, ``J``.
    success : share of unseen images of other classes that flip, ``J``, 0 to 1.
    weights : the weights of the masks' norms at the end, ``J``.
    raw : logits of masks and patterns, on the grid on which they are free, ``J x (1 + C) x h x w``.
    """

    masks: torch.Tensor
    patterns: torch.Tensor
    norms: torch.Tensor
    success: torch.Tensor
    weights: torch.Tensor
    raw: torch.Tensor

    def of(self, rows: torch.Tensor) -> Inverted:
        """The triggers of some of the classes."""
        return Inverted(*(getattr(self, f.name)[rows] for f in fields(self)))

    def figures(self) -> dict[str, Array]:
        """The arrays of the evidence."""
        return {"norms": as_array(self.norms), "success": as_array(self.success)}


def invert(
    scores: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    count: int,
    classes: torch.Tensor | None = None,
    protocol: InversionSearch | None = None,
    progress: Progress = silent,
    rounded: bool = False,
    start: Inverted | None = None,
    on_grid: bool = True,
) -> Inverted:
    """Smallest triggers for ``classes`` (default: all) of a network with ``count`` classes.

    For each class the smallest mask that reached the wanted success on the images of its step is kept; without one, the
    last mask. A gradient that is not finite counts as 0. An image without finite scores counts as not flipped. With
    ``rounded``, gradients may be in bfloat16. ``start`` are triggers of these classes from which the search goes on.

    With ``on_grid``, masks and patterns of large images are free on a grid only (:func:`grid_step`). Then the first
    weight is less in proportion to the pixels, of which the norm has more, and waits until enough images flip.
    """
    p = protocol or InversionSearch()
    device = images.device
    wanted = torch.arange(count, device=device) if classes is None else classes
    pool = pools(labels, count, p.unseen)
    network = fast_copy(scores, images, rounded)
    size = images.shape[2:]
    raw, weight, waits = _begun(p, images, len(wanted), start, grid_step(*size) if on_grid else 1)
    best, best_norm = raw.clone(), torch.full((len(wanted),), float("inf"), device=device)
    # Neural Cleanse's moments.
    adam = torch.optim.Adam([raw], lr=p.learning_rate, betas=(0.5, 0.9), eps=1e-12)
    for step in range(p.steps):
        chosen = pool.draw(wanted, p.images_a_step, step)
        gradient, flipped = torch.zeros_like(raw), torch.zeros(len(wanted), device=device)
        for part in chunks(len(wanted), p.images_a_step, p.batch):
            pressure = torch.where(waits, 0.0, weight)[part]
            gradient[part], flipped[part] = descent(
                network, images[chosen[part]], raw[part], wanted[part], pressure
            )
        enough = flipped >= p.success
        norm = drawn_out(raw[:, :1], size).sigmoid().flatten(1).sum(1)
        better = enough & (norm < best_norm)
        best[better], best_norm[better] = raw[better], norm[better]
        waits &= ~enough
        if (step + 1) % p.patience == 0:
            changed = torch.where(enough, weight * p.factor, weight / p.factor)
            weight = torch.where(waits, weight, changed)
        raw.grad = gradient
        adam.step()
        progress((step + 1) / (p.steps + 1))
    raw = torch.where(best_norm.isfinite().view(-1, 1, 1, 1), best, raw)
    whole = drawn_out(raw, size)
    masks, patterns = whole[:, 0].sigmoid(), whole[:, 1:].sigmoid()
    margins = unseen_margins(
        network, images, pool, wanted, masks, patterns, Effort(p.steps, p.images_a_step, p.unseen, p.batch)
    )
    progress(1.0)
    success = (margins > 0).float().mean(1)
    return Inverted(masks, patterns, masks.flatten(1).sum(1), success, weight, raw)


def _begun(
    p: InversionSearch, images: torch.Tensor, count: int, start: Inverted | None, coarse: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits ``J x (1 + C) x h x w`` and weights ``J`` to begin with, and whether a weight waits until images flip."""
    size = images.shape[2:]
    waits = torch.full((count,), coarse > 1 and start is None, device=images.device)
    if start is not None:
        return start.raw, start.weights, waits
    # Channel 0 holds the mask, the others hold the pattern. The search starts with a thin mask everywhere.
    raw = torch.zeros(count, 1 + images.shape[1], *(n // coarse for n in size), device=images.device)
    raw[:, 0] = -1.0
    weight = p.weight * (FIRST / size.numel() if coarse > 1 else 1.0)
    return raw, torch.full((count,), weight, device=images.device), waits


def descent(
    network: torch.nn.Module, x: torch.Tensor, raw: torch.Tensor, classes: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the objective, ``J x (1 + C) x h x w``, and the share of images that flip to each class, ``J``.

    Parameters
    ----------
    x : images ``J x n x C x H x W``.
    raw : logits of masks and patterns, ``J x (1 + C) x h x w``; between the points of a grid they are linear.
    weight : of the masks' sizes, ``J``.
    """
    leaf = raw.clone().requires_grad_(True)
    goal = classes.repeat_interleave(x.shape[1])
    with torch.enable_grad():
        whole = drawn_out(leaf, x.shape[-2:])
        mask = whole[:, 0].sigmoid()
        stamped = stamp(x, mask, whole[:, 1:].sigmoid()).flatten(0, 1)
    z, of_images = scored(
        network, stamped, goal, lambda z, c: F.cross_entropy(z, c, reduction="sum") / x.shape[1]
    )
    with torch.enable_grad():
        sizes = (weight * mask.flatten(1).sum(1)).sum()
        (gradient,) = torch.autograd.grad((sizes, stamped), leaf, (torch.ones_like(sizes), of_images))
    # argmax of scores with NaN is the place of a NaN, so images without finite scores are excluded.
    hit = (z.argmax(1) == goal) & z.isfinite().all(1)
    flipped = hit.float().view(len(classes), -1).mean(1)
    return torch.nan_to_num(gradient, 0.0, 0.0, 0.0), flipped
