"""MM-BD: the largest margin of each class over all images, whatever they show, and whether one class stands out.

For each class the margin of its score over the next one is maximised from random images. The largest of the K maxima is
tested against a gamma distribution that is fitted to the others: ``p = 1 - G(r_max)^K``.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.classifier.fast.copying import fast_copy
from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.opinion import Opinion
from ti_core.system.progress import ShareProgress, silent_share

TINY = 1e-30
LEAST_P = 1e-12
"""Smaller p-values count as this one."""


@dataclass(frozen=True)
class MarginSearch:
    """How margins are maximised.

    Parameters
    ----------
    starts : random images of each class.
    steps, rate, momentum : of gradient ascent on the images, which are clipped to [0, 1] before the network.
    settled : relative change of the sum of the margins below which the search ends.
    level : significance level.
    """

    starts: int = 30
    steps: int = 300
    rate: float = 0.01
    momentum: float = 0.2
    settled: float = 1e-5
    level: float = 0.05


class MaximumMargin(Method):
    """MM-BD."""

    name = "mm_bd"
    title = "MM-BD"
    source = Source(
        "H. Wang, Z. Xiang, D. Miller, G. Kesidis",
        2024,
        "IEEE Symposium on Security and Privacy",
        "https://arxiv.org/abs/2205.06900",
        "advantages over earlier methods on four data sets, for three kinds of trigger",
    )
    needs = (Need.CLASSES,)
    sees = "any trigger that leads all images to one class"
    measures = "-log10 of the p-value of the largest class margin"
    threshold = -math.log10(0.05)

    def __init__(self, protocol: MarginSearch | None = None) -> None:
        self.protocol = protocol or MarginSearch()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        margins = largest_margins(subject, self.protocol, progress)
        p = p_value(margins)
        target = int(margins.argmax())
        sentence = (
            f"The largest margin of class {subject.class_names[target]} is {margins[target]:.1f}, the median of the"
            f" classes {np.median(margins):.1f}; a margin as large has p = {p:.2g} among the others."
        )
        per_class = tuple(float(m) for m in margins)
        return self.said(-math.log10(p), sentence, target, per_class)


def largest_margins(
    subject: Subject, protocol: MarginSearch, progress: ShareProgress = silent_share
) -> NDArray[np.float64]:
    """Largest margin of each class that gradient ascent finds, ``K``.

    The classes are searched in one batch. A gradient that is not finite counts as 0.
    """
    p, classes = protocol, subject.classes
    network = fast_copy(subject.scores, subject.images)
    generator = torch.Generator().manual_seed(subject.seed)
    shape = tuple(subject.images.shape[1:])
    x = torch.rand(classes * p.starts, *shape, generator=generator).to(subject.images.device)
    goal = torch.arange(classes, device=x.device).repeat_interleave(p.starts)
    best = torch.full((len(x),), -math.inf, device=x.device)
    speed, before = torch.zeros_like(x), math.inf
    for step in range(p.steps):
        leaf = x.clone().requires_grad_(True)
        with torch.enable_grad():
            margin = margins_of(network(leaf.clamp(0, 1)), goal)
            (gradient,) = torch.autograd.grad(margin.sum(), leaf)
        found = torch.nan_to_num(margin.detach(), -math.inf, -math.inf, -math.inf)
        best = torch.maximum(best, found)
        speed = p.momentum * speed + torch.nan_to_num(gradient, 0.0, 0.0, 0.0)
        # Without this, pixels beyond the range get subnormal speeds, with which the processor is slow.
        speed = torch.where(speed.abs() < TINY, 0.0, speed)
        x = x + p.rate * speed
        total = float(found.sum())
        if not math.isfinite(total) or abs(before - total) < p.settled * abs(before):
            break
        before = total
        progress((step + 1) / p.steps)
    progress(1.0)
    by_class = best.view(classes, p.starts).max(dim=1).values.double().cpu().numpy()
    return np.asarray(np.nan_to_num(by_class, neginf=0.0))


def margins_of(scores: torch.Tensor, goal: torch.Tensor) -> torch.Tensor:
    """The score of each row's class minus the largest of the others, ``N``."""
    own = scores.gather(1, goal[:, None]).squeeze(1)
    others = scores.scatter(1, goal[:, None], -math.inf).max(dim=1).values
    return own - others


def p_value(margins: NDArray[np.float64]) -> float:
    """The p-value of the largest of K margins among the others: ``1 - G(r_max)^K``, G a gamma distribution.

    G is fitted to the K - 1 others by maximum likelihood. Where they are all equal, nothing can be fitted and p is 1,
    or the least one if the largest differs.
    """
    from scipy.stats import gamma

    largest = float(margins.max())
    others = np.delete(margins, int(margins.argmax()))
    if np.ptp(others) < 1e-9:
        return 1.0 if largest - others.max() < 1e-9 else LEAST_P
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        shape, place, scale = gamma.fit(others)
        log_inside = gamma.logcdf(largest, shape, loc=place, scale=scale)
    p = -math.expm1(len(margins) * float(log_inside))
    return min(max(p, LEAST_P), 1.0) if math.isfinite(p) else 1.0
