"""FreeEagle: inner representations that stand for one class each, and whether one other class answers to all of them.

The network is cut at an inner layer. For each class a dummy representation is made that the rear part answers with that
class. On a backdoored network the target class has a second, short way to a high score, so it gets more probability on
the other classes' dummies. No image is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.layers import ACTIVATIONS, Place, activations, places, run
from ti_core.methods.opinion import Opinion
from ti_core.methods.outliers import LEAST
from ti_core.system.progress import ShareProgress, silent_share


@dataclass(frozen=True)
class DummySearch:
    """How dummies are made.

    Parameters
    ----------
    depth : where the network is cut, as a share of its activation functions, 0 to 1.
    steps, rate, decay : of Adam, and its weight decay.
    """

    depth: float = 0.5
    steps: int = 1000
    rate: float = 0.01
    decay: float = 0.005


class FreeEagle(Method):
    """FreeEagle."""

    name = "free_eagle"
    title = "FreeEagle"
    source = Source(
        "C. Fu, X. Zhang, S. Ji, T. Wang, P. Lin, Y. Feng, J. Yin",
        2023,
        "USENIX Security",
        "https://arxiv.org/abs/2302.14500",
        "that it works on several data sets and architectures without any image",
    )
    needs = (Need.LAYERS, Need.CLASSES)
    sees = "any trigger that leads all images, or those of one class, to one class"
    measures = "distance of the largest class above the upper quartile, in interquartile ranges"
    threshold = 1.0
    differs = (
        "The cut lies after the middle activation function; the authors' code names a layer for each architecture."
        " The threshold is that of their code; the publication sets it on networks that it knows."
    )

    def __init__(self, protocol: DummySearch | None = None) -> None:
        self.protocol = protocol or DummySearch()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        matrix = answers_to_dummies(subject, self.protocol, progress)
        tendency = matrix.sum(axis=0) / (len(matrix) - 1)
        statistic, target = above_quartile(tendency), int(tendency.argmax())
        sentence = (
            f"Class {subject.class_names[target]} gets {tendency[target]:.2g} of the certainty on inner patterns that"
            f" stand for other classes, the median class {np.median(tendency):.2g}: {statistic:.1f} interquartile"
            " ranges above the upper quartile."
        )
        return self.said(statistic, sentence, target, tuple(float(t) for t in tendency))


def cut_of(subject: Subject, depth: float) -> Place:
    """The activation function after which the network is cut, or a layer at that depth if none is seen."""
    image = subject.images[:1]
    found = activations(subject.scores, image) or places(subject.scores, image)[:-1]
    return found[min(int(depth * len(found)), len(found) - 1)]


def answers_to_dummies(
    subject: Subject, protocol: DummySearch, progress: ShareProgress = silent_share
) -> NDArray[np.float64]:
    """Probability of class j on the dummy of class i, ``K x K`` with 0 on the diagonal."""
    p, classes = protocol, subject.classes
    place = cut_of(subject, p.depth)
    generator = torch.Generator().manual_seed(subject.seed)
    dummies = torch.rand(classes, *place.shape, generator=generator)
    dummies = dummies.to(subject.images.device).requires_grad_(True)
    goal = torch.arange(classes, device=dummies.device)
    # Only the shape of these images counts: what the front part makes of them is replaced.
    images = torch.zeros(classes, *subject.images.shape[1:], device=dummies.device)
    adam = torch.optim.Adam([dummies], lr=p.rate, weight_decay=p.decay)
    positive = isinstance(place.module, ACTIVATIONS)
    for step in range(p.steps):
        with torch.enable_grad():
            z = run(subject.scores, images, {place: lambda _: dummies})
            (gradient,) = torch.autograd.grad(F.cross_entropy(z, goal, reduction="sum"), dummies)
        dummies.grad = torch.nan_to_num(gradient, 0.0, 0.0, 0.0)
        adam.step()
        if positive:
            with torch.no_grad():
                dummies.clamp_(min=0.0)
        progress((step + 1) / p.steps)
    with torch.no_grad():
        z = torch.nan_to_num(run(subject.scores, images, {place: lambda _: dummies}), 0.0, 0.0, 0.0)
        matrix = z.double().softmax(dim=1).cpu().numpy()
    np.fill_diagonal(matrix, 0.0)
    return np.asarray(matrix)


def above_quartile(values: NDArray[np.float64]) -> float:
    """How many interquartile ranges the largest value lies above the upper quartile.

    The quartiles are values of the list, as in the authors' code: those at a quarter and three quarters of its length.
    """
    x = np.sort(values)
    low, high = x[int(0.25 * len(x))], x[int(0.75 * len(x))]
    return float((x[-1] - high) / max(high - low, LEAST))
