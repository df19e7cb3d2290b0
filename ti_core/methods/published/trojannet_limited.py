"""TrojanNet detection with few images: per-image and universal perturbations agree in feature space.

For a class, each image gets a smallest mask and pattern of its own that lead it there, and all images share one. On a
backdoored network both find the trigger's short cut, so that the features before the last layer agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.layers import outputs, places
from ti_core.methods.opinion import Opinion
from ti_core.streams.searches.masks import InversionSearch, invert
from ti_core.streams.searches.search import pools
from ti_core.system.progress import ShareProgress, silent_share


@dataclass(frozen=True)
class Perturbations:
    """How perturbations are made and compared.

    Parameters
    ----------
    images : images of other classes, for each class.
    steps, rate : of Adam, on the masks and patterns of single images.
    weight, factor : first weight of a mask's norm, and the factor by which it is raised while the image is led to the
        class, and lowered while it is not.
    quantile : of the similarities of a class's images, 0 to 1.
    """

    images: int = 10
    steps: int = 60
    rate: float = 0.3
    weight: float = 0.02
    factor: float = 1.3
    quantile: float = 0.25


class TrojanNetLimited(Method):
    """TrojanNet detection, data-limited."""

    name = "trojannet_limited"
    title = "TrojanNet detection, data-limited"
    source = Source(
        "R. Wang, G. Zhang, S. Liu, P.-Y. Chen, J. Xiong, M. Wang",
        2020,
        "ECCV",
        "https://arxiv.org/abs/2007.15802",
        "that it works on CIFAR-10, GTSRB and ImageNet with few images",
    )
    needs = (Need.IMAGES, Need.LAYERS, Need.CLASSES)
    sees = "a patch that leads all images to one class"
    measures = "lower quartile of the cosine similarities of features, largest over the classes"
    threshold = 0.75
    differs = (
        "The universal perturbation is that of trigger inversion. In both kinds the weight of the mask adapts while"
        " they are made; the publication searches it by bisection."
    )

    def __init__(self, protocol: Perturbations | None = None) -> None:
        self.protocol = protocol or Perturbations()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        similar = similarities(subject, self.protocol, progress)
        quartiles = np.quantile(similar, self.protocol.quantile, axis=1)
        target = int(quartiles.argmax())
        sentence = (
            f"For class {subject.class_names[target]} the features of images with perturbations of their own and with a"
            f" shared one have a cosine similarity of {quartiles[target]:.2f} or more on three quarters of the images."
        )
        return self.said(float(quartiles[target]), sentence, target, tuple(float(q) for q in quartiles))


def similarities(
    subject: Subject, protocol: Perturbations, progress: ShareProgress = silent_share
) -> NDArray[np.float64]:
    """Cosine similarities of the features of n images a class, ``K x n``."""
    p, classes = protocol, subject.classes
    images = subject.images.float()
    shared = invert(
        subject.scores,
        images,
        subject.labels,
        classes,
        protocol=InversionSearch(),
        on_grid=False,
        progress=lambda share: progress(share / 2),
    )
    wanted = torch.arange(classes, device=images.device)
    x = images[pools(subject.labels, classes, p.images).test(wanted, p.images)]
    mask, pattern = shared.masks[:, None, None], shared.patterns[:, None]
    universal = ((1 - mask) * x + mask * pattern).flatten(0, 1)
    goal = wanted.repeat_interleave(p.images)
    own = each_perturbed(subject, x.flatten(0, 1), goal, p, lambda share: progress(0.5 + share / 2))
    place = places(subject.scores, images[:1])[-2:][0]
    with torch.no_grad():
        features = [outputs(subject.scores, part, [place])[1][0].flatten(1) for part in (universal, own)]
        one, other = (torch.nan_to_num(f, 0.0, 0.0, 0.0).double() for f in features)
        alike = F.cosine_similarity(one, other)
    return np.asarray(alike.view(classes, p.images).cpu().numpy())


def each_perturbed(
    subject: Subject,
    images: torch.Tensor,
    goal: torch.Tensor,
    protocol: Perturbations,
    progress: ShareProgress = silent_share,
) -> torch.Tensor:
    """Each image with the smallest mask and pattern of its own that lead it to its goal, ``N x C x H x W``.

    Of an image that is never led there, the last perturbation is kept.
    """
    p = protocol
    raw = torch.zeros(len(images), 1 + images.shape[1], *images.shape[2:], device=images.device)
    raw[:, 0] = -1.0
    best = raw.clone()
    least = torch.full((len(images),), float("inf"), device=images.device)
    weight = torch.full((len(images),), p.weight, device=images.device)
    adam = torch.optim.Adam([raw], lr=p.rate, betas=(0.5, 0.9))
    for step in range(p.steps):
        leaf = raw.clone().requires_grad_(True)
        with torch.enable_grad():
            mask = leaf[:, :1].sigmoid()
            z = subject.scores((1 - mask) * images + mask * leaf[:, 1:].sigmoid())
            norm = mask.flatten(1).sum(1)
            loss = F.cross_entropy(z, goal, reduction="none") + weight * norm
            (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        led = (z.argmax(dim=1) == goal) & z.isfinite().all(dim=1)
        better = led & (norm.detach() < least)
        best[better], least[better] = raw[better], norm.detach()[better]
        weight = torch.where(led, weight * p.factor, weight / p.factor)
        raw.grad = torch.nan_to_num(gradient, 0.0, 0.0, 0.0)
        adam.step()
        progress((step + 1) / p.steps)
    kept = torch.where(least.isfinite().view(-1, 1, 1, 1), best, raw)
    mask = kept[:, :1].sigmoid()
    return (1 - mask) * images + mask * kept[:, 1:].sigmoid()
