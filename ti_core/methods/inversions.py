"""Triggers of every class by an objective of one's own, searched as Neural Cleanse does.

Every class is one row of a stacked tensor, so that all classes are optimised in one batch, as in
:mod:`ti_core.streams.inversion`. An objective says what its variables stand for: how they change an image, what they
cost, and how large the trigger is.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ti_core.classifier.fast.copying import fast_copy
from ti_core.methods.base import Subject
from ti_core.streams.searches.search import Pools, chunks, pools
from ti_core.system.progress import ShareProgress, silent_share

UNSEEN = 48
"""Images of each class that take no part in the search."""


@dataclass(frozen=True)
class TriggerSearch:
    """How the variables are optimised.

    Parameters
    ----------
    steps, learning_rate : of Adam.
    images_a_step, batch : images per class and step, and images at once.
    success : share of images that must flip before a trigger counts, 0 to 1.
    weight : first weight of the cost.
    up, down, patience : every ``patience`` steps the weight is multiplied by ``up`` if enough images flipped, else
        divided by ``down``.
    """

    steps: int = 40
    learning_rate: float = 0.5
    images_a_step: int = 12
    batch: int = 256
    success: float = 0.95
    weight: float = 3e-3
    up: float = 2.0
    down: float = 2.0
    patience: int = 2


class Objective(ABC):
    """What the variables ``J x ...`` of J classes stand for."""

    @abstractmethod
    def fresh(self, classes: int, shape: tuple[int, int, int]) -> torch.Tensor:
        """The variables before the search, for images of a shape ``C x H x W``."""

    @abstractmethod
    def changed(self, raw: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """Images ``J x n x C x H x W`` in [0, 1] with the triggers."""

    @abstractmethod
    def cost(self, raw: torch.Tensor) -> torch.Tensor:
        """What the weight multiplies, ``J``."""

    @abstractmethod
    def size(self, raw: torch.Tensor) -> torch.Tensor:
        """The size of each trigger in pixels, ``J``."""

    def further(
        self,
        network: torch.nn.Module,
        raw: torch.Tensor,
        x: torch.Tensor,
        labels: torch.Tensor,
        wanted: torch.Tensor,
    ) -> torch.Tensor:
        """Further terms of the loss, ``J``: none.

        Parameters
        ----------
        x, labels : the images ``J x n x C x H x W`` and their classes ``J x n``.
        wanted : the class of each row, ``J``.
        """
        return torch.zeros(len(raw))


def smallest_triggers(
    objective: Objective, subject: Subject, p: TriggerSearch, progress: ShareProgress = silent_share
) -> torch.Tensor:
    """The variables of the smallest trigger of each class that flipped enough images of a step, ``K x ...``.

    A class without one has the variables of the last step. A gradient that is not finite counts as 0.
    """
    images, labels = subject.images.float(), subject.labels
    network = fast_copy(subject.scores, images)
    pool = pools(labels, subject.classes, UNSEEN)
    channels, height, width = (int(n) for n in images.shape[1:])
    raw = objective.fresh(subject.classes, (channels, height, width))
    wanted = torch.arange(subject.classes)
    best, best_size = raw.clone(), torch.full((len(raw),), float("inf"))
    weight = torch.full((len(raw),), p.weight)
    adam = torch.optim.Adam([raw], lr=p.learning_rate, betas=(0.5, 0.9))
    for step in range(p.steps):
        gradient, flipped = _gradient(objective, network, images, labels, pool, raw, wanted, weight, p, step)
        enough, size = flipped >= p.success, objective.size(raw)
        better = enough & (size < best_size)
        best[better], best_size[better] = raw[better], size[better]
        if (step + 1) % p.patience == 0:
            weight = torch.where(enough, weight * p.up, weight / p.down)
        raw.grad = gradient
        adam.step()
        progress((step + 1) / p.steps)
    return torch.where(best_size.isfinite().view(-1, *[1] * (raw.dim() - 1)), best, raw)


def _gradient(
    objective: Objective,
    network: torch.nn.Module,
    images: torch.Tensor,
    labels: torch.Tensor,
    pool: Pools,
    raw: torch.Tensor,
    wanted: torch.Tensor,
    weight: torch.Tensor,
    p: TriggerSearch,
    step: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradient of the loss with respect to all variables, and the share of images that flip to each class, ``K``."""
    chosen = pool.draw(wanted, p.images_a_step, step)
    gradient, flipped = torch.zeros_like(raw), torch.zeros(len(raw))
    for part in chunks(len(wanted), p.images_a_step, p.batch):
        leaf = raw[part].clone().requires_grad_(True)
        x, own = images[chosen[part]], labels[chosen[part]]
        goal = wanted[part].repeat_interleave(x.shape[1])
        with torch.enable_grad():
            z = network(objective.changed(leaf, x).flatten(0, 1))
            entropy = F.cross_entropy(z, goal, reduction="none").view(len(leaf), -1).mean(1)
            loss = entropy + weight[part] * objective.cost(leaf)
            loss = loss + objective.further(network, leaf, x, own, wanted[part])
            (found,) = torch.autograd.grad(loss.sum(), leaf)
        gradient[part] = torch.nan_to_num(found, 0.0, 0.0, 0.0)
        hit = (z.detach().argmax(1) == goal) & z.detach().isfinite().all(1)
        flipped[part] = hit.float().view(len(leaf), -1).mean(1)
    return gradient, flipped
