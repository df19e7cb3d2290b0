"""Patterns that move every class to another one, with the assignment of classes that suits each best."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ti_core.classifier.fast.portions import scored
from ti_core.streams.searches.search import MOMENTUM, smoothed, stamp

FORBIDDEN = 1e6
"""Cost of leaving a class where it is."""


def best_assignment(log_probabilities: NDArray[np.float64]) -> NDArray[np.intp]:
    """The permutation of K classes without fixed points that has the largest sum of ``K x K`` log-probabilities.

    Row k, column j: the mean log-probability of class j on changed images of class k.
    """
    cost = -np.nan_to_num(log_probabilities, nan=-1e3, posinf=0.0, neginf=-1e3)
    np.fill_diagonal(cost, FORBIDDEN)
    return np.asarray(linear_sum_assignment(cost)[1])


def by_class(
    labels: torch.Tensor, classes: int, fit: int, unseen: int
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Indices of images of every class, ``K x fit`` and ``K x unseen``, no image in both; None if a class lacks two.

    Few images of a class are used several times.
    """
    own = [torch.nonzero(labels == k).flatten() for k in range(classes)]
    if min(map(len, own)) < 2:
        return None
    halves = [(i[: -(-len(i) // 2)], i[-(-len(i) // 2) :]) for i in own]
    seen = torch.stack([a.repeat(-(-fit // len(a)))[:fit] for a, _ in halves])
    kept = torch.stack([b.repeat(-(-unseen // len(b)))[:unseen] for _, b in halves])
    return seen, kept


class PatternSearch:
    """Patterns under several masks at once, each with its own assignment.

    Parameters
    ----------
    places : from :func:`by_class`.
    """

    def __init__(
        self, network: torch.nn.Module, images: torch.Tensor, places: tuple[torch.Tensor, torch.Tensor]
    ) -> None:
        self.network, self.images = network, images
        self.fit, unseen = places
        self.unseen = images[unseen]
        self.classes = len(self.fit)

    def make(
        self, weights: torch.Tensor, steps: int, each: int
    ) -> tuple[torch.Tensor, NDArray[np.intp], torch.Tensor]:
        """Patterns ``W x C x H x W`` under weights ``W x H x W``, their assignments ``W x K``, and how well they fit.

        Parameters
        ----------
        each : images of each class that they are made on. The fit is the mean log-probability of the assigned classes
            on these images, ``W``.
        """
        images = self.images[self.fit[:, :each].flatten()]
        patterns = torch.full((len(weights), *images.shape[1:]), 0.5, device=images.device)
        speed = torch.zeros_like(patterns)
        for step in range(steps):
            length = 0.5 * (1 - step / steps) + 0.05
            x = stamp(images.expand(len(weights), -1, -1, -1, -1), weights, patterns)
            gradient, assignments, fits = self._towards(x)
            mean = smoothed(torch.nan_to_num(gradient, 0.0, 0.0, 0.0).mean(1))
            size = mean.abs().flatten(1).mean(1).view(-1, 1, 1, 1)
            speed = MOMENTUM * speed + mean / torch.where(size > 0, size, torch.ones_like(size))
            patterns = (patterns + length * speed.sign()).clamp(0, 1)
        return patterns, assignments, fits

    def _towards(self, x: torch.Tensor) -> tuple[torch.Tensor, NDArray[np.intp], torch.Tensor]:
        """The gradient on images ``W x N x C x H x W``, and the assignments of the W masks and their fits."""
        found: list[tuple[NDArray[np.intp], torch.Tensor]] = []

        def fitting(z: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
            log_p = self._by_mask(z, x.shape[1])
            tables = log_p.detach().mean(2).double().cpu().numpy()
            assignments = np.stack([best_assignment(table) for table in tables])
            wanted = log_p.gather(3, self._wanted(assignments, log_p))
            found.append((assignments, wanted.detach().mean((1, 2, 3))))
            return wanted.sum()

        rows = x.flatten(0, 1)
        _, gradient = scored(self.network, rows, rows.new_zeros(len(rows)), fitting, together=x.shape[1])
        assignments, fits = zip(*found, strict=True)
        return (
            gradient.view_as(x),
            np.concatenate(assignments),
            torch.nan_to_num(torch.cat(fits), -1e3, -1e3, -1e3),
        )

    @torch.no_grad()
    def flipped(
        self, weights: torch.Tensor, patterns: torch.Tensor, assignments: NDArray[np.intp], each: int
    ) -> torch.Tensor:
        """The share of ``each`` unseen images of every class that each pattern turns into the assigned class,
        ``W x K``; 0 without images."""
        if not each:
            return torch.zeros(len(weights), self.classes, device=weights.device)
        unseen = self.unseen[:, :each].flatten(0, 1)
        x = stamp(unseen.expand(len(weights), -1, -1, -1, -1), weights, patterns)
        log_p = self._by_mask(self.network(x.flatten(0, 1)), x.shape[1])
        right = log_p.argmax(3, keepdim=True) == self._wanted(assignments, log_p)
        return right.float().mean((2, 3))

    def _by_mask(self, z: torch.Tensor, count: int) -> torch.Tensor:
        """Log-probabilities ``W x K x each x K`` by mask, true class and image, from the scores of its ``count``."""
        return z.log_softmax(1).view(-1, self.classes, count // self.classes, self.classes)

    def _wanted(self, assignments: NDArray[np.intp], log_p: torch.Tensor) -> torch.Tensor:
        wanted = torch.from_numpy(assignments).to(log_p.device)[:, :, None, None]
        return wanted.expand(-1, -1, log_p.shape[2], 1)
