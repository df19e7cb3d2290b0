"""TrojanNet detection without data: noise is pushed through the units before the last layer; the scores that rise tell.

From images of noise, a weighted sum of those units is maximised together with the weights, which are kept few. On a
backdoored network the units of the trigger are the easiest to raise, and they raise the target class's score.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.layers import ACTIVATIONS, Place, inputs, outputs, places
from ti_core.methods.opinion import Opinion
from ti_core.system.progress import ShareProgress, silent_share


@dataclass(frozen=True)
class NoisePush:
    """How noise is pushed.

    Parameters
    ----------
    images : of noise.
    steps, rate : of projected gradient ascent by the sign of the gradient, within [0, 1].
    weight_rate : of gradient ascent on the units' weights, which stay on the simplex.
    sparsity : penalty of the L1 norm of the units' weights.
    """

    images: int = 10
    steps: int = 1000
    rate: float = 0.1
    weight_rate: float = 0.01
    sparsity: float = 1e-3


class TrojanNetFree(Method):
    """TrojanNet detection, data-free."""

    name = "trojannet_free"
    title = "TrojanNet detection, data-free"
    source = Source(
        "R. Wang, G. Zhang, S. Liu, P.-Y. Chen, J. Xiong, M. Wang",
        2020,
        "ECCV",
        "https://arxiv.org/abs/2007.15802",
        "that it works on CIFAR-10, GTSRB and ImageNet without any image",
    )
    needs = (Need.LAYERS, Need.CLASSES)
    sees = "any trigger whose units are easily raised"
    measures = "largest mean rise of a class's score"
    threshold = 100.0
    differs = (
        "The units are what enters the last linear layer. The threshold is the authors' for ResNets on CIFAR-10;"
        " scores of other networks have other scales."
    )

    def __init__(self, protocol: NoisePush | None = None) -> None:
        self.protocol = protocol or NoisePush()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        rises = rises_of_scores(subject, self.protocol, progress)
        target = int(rises.argmax())
        sentence = (
            f"Noise pushed through the units before the last layer raises the score of class"
            f" {subject.class_names[target]} by {rises[target]:.1f}, of the median class by {np.median(rises):.1f}."
        )
        return self.said(float(rises[target]), sentence, target, tuple(float(r) for r in rises))


def rises_of_scores(
    subject: Subject, protocol: NoisePush, progress: ShareProgress = silent_share
) -> NDArray[np.float64]:
    """Mean rise of each class's score from noise to pushed noise, ``K``."""
    p = protocol
    place = places(subject.scores, subject.images[:1])[-2:][0]
    generator = torch.Generator().manual_seed(subject.seed)
    start = torch.rand(p.images, *subject.images.shape[1:], generator=generator).to(subject.images.device)
    x, weights = start.clone(), torch.full((int(np.prod(place.shape)),), 1.0, device=start.device)
    weights = weights / len(weights)
    before, _ = _pass(subject, start, place)
    for step in range(p.steps):
        leaf, free = x.clone().requires_grad_(True), weights.clone().requires_grad_(True)
        with torch.enable_grad():
            _, units = _pass(subject, leaf, place)
            goal = (units @ free).mean() - p.sparsity * free.abs().sum()
            to_image, to_weights = torch.autograd.grad(goal, (leaf, free))
        x = (x + p.rate * torch.nan_to_num(to_image, 0.0, 0.0, 0.0).sign()).clamp(0, 1)
        weights = on_simplex(weights + p.weight_rate * torch.nan_to_num(to_weights, 0.0, 0.0, 0.0))
        progress((step + 1) / p.steps)
    after, _ = _pass(subject, x, place)
    rise = torch.nan_to_num(after - before, 0.0, 0.0, 0.0).mean(dim=0)
    return np.asarray(rise.detach().double().cpu().numpy())


def _pass(subject: Subject, images: torch.Tensor, place: Place) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores, and the units: of an activation function what it is given, so that units at rest have a gradient."""
    if isinstance(place.module, ACTIVATIONS):
        scores, units = inputs(subject.scores, images, place)
    else:
        scores, (units,) = outputs(subject.scores, images, [place])
    return scores, units.flatten(1)


def on_simplex(weights: torch.Tensor) -> torch.Tensor:
    """The nearest weights that are not negative and sum to 1 (J. Duchi et al., ICML 2008)."""
    down = weights.sort(descending=True).values
    excess = (down.cumsum(0) - 1) / torch.arange(1, len(down) + 1, device=down.device)
    kept = int((down > excess).sum())
    return (weights - excess[max(kept, 1) - 1]).clamp_min(0.0)
