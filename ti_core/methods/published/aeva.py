"""AEVA: from hard labels alone, adversarial examples whose change is concentrated in few pixels point to a backdoor.

For each pair of classes a nearest image of the target class is sought by a decision-based attack (HopSkipJump: J. Chen,
M. Jordan, M. Wainwright, 2020). On a backdoored network the change towards the target class has a peak at the trigger.
The peaks of all source classes are added, and the largest sum is compared with those of the other classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ti_core.methods.base import Method, Need, Source, Subject
from ti_core.methods.opinion import Opinion
from ti_core.methods.outliers import anomaly_indices
from ti_core.system.progress import ShareProgress, silent_share

BATCH = 1024
PEAK = 2
"""Pixels whose change makes up the peak."""


@dataclass(frozen=True)
class DecisionAttack:
    """How adversarial examples are sought.

    Parameters
    ----------
    rounds : of estimating a direction, stepping and going back to the boundary.
    queries : of each estimate.
    halvings : of the bisections.
    """

    rounds: int = 20
    queries: int = 50
    halvings: int = 8


class HardLabels(Method):
    """AEVA."""

    name = "aeva"
    title = "AEVA"
    source = Source(
        "J. Guo, A. Li, C. Liu",
        2022,
        "ICLR",
        "https://arxiv.org/abs/2110.14880",
        "that it works on CIFAR-10, CIFAR-100 and Tiny-ImageNet, from labels alone",
    )
    needs = (Need.IMAGES, Need.CLASSES)
    sees = "a small patch that leads all images to one class, from the network's answers alone"
    measures = "anomaly index of the largest sum of adversarial peaks"
    threshold = 4.0
    differs = (
        "One image of each source class is used for each target, with 20 rounds of 50 queries; the publication uses 40"
        " images and 50 rounds of up to 30,000 queries."
    )

    def __init__(self, protocol: DecisionAttack | None = None) -> None:
        self.protocol = protocol or DecisionAttack()

    def opinion(self, subject: Subject, progress: ShareProgress = silent_share) -> Opinion:
        sums = peaks(subject, self.protocol, progress)
        indices = anomaly_indices(sums)
        target = int(sums.argmax())
        sentence = (
            f"Changes that lead to class {subject.class_names[target]} are the most concentrated: their two strongest"
            f" pixels hold {sums[target] / max(1, subject.classes - 1):.0%} of the change on average. The anomaly"
            f" index is {indices[target]:.1f}."
        )
        return self.said(float(indices[target]), sentence, target, tuple(float(s) for s in sums))


def peaks(
    subject: Subject, protocol: DecisionAttack, progress: ShareProgress = silent_share
) -> NDArray[np.float64]:
    """The sum over the source classes of the peak of the change towards each class, ``K``; 0 where none is found."""
    ask = _Answers(subject)
    examples, pairs = _starts(subject, ask)
    sums = np.zeros(subject.classes)
    if not pairs:
        return sums
    source = torch.cat([examples[i][None] for i, _ in pairs])
    begin = torch.cat([examples[j][None] for _, j in pairs])
    target = torch.tensor([j for _, j in pairs], device=source.device)
    near = nearest(ask, source, begin, target, protocol, subject.seed, progress)
    change = (near - source).abs().sum(dim=1).flatten(1).double()
    share = change.topk(min(PEAK, change.shape[1]), dim=1).values.sum(dim=1) / change.sum(dim=1).clamp_min(
        1e-12
    )
    for (_, j), value in zip(pairs, share.cpu().numpy(), strict=True):
        sums[j] += float(value)
    return sums


class _Answers:
    """The network's answers, as classes; -1 where scores are not finite."""

    def __init__(self, subject: Subject) -> None:
        self._scores = subject.scores

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        found = []
        for part in images.split(BATCH):
            z = self._scores(part)
            found.append(torch.where(z.isfinite().all(dim=1), z.argmax(dim=1), -1))
        return torch.cat(found)


def _starts(subject: Subject, ask: _Answers) -> tuple[dict[int, torch.Tensor], list[tuple[int, int]]]:
    """One image that the network gives to each class, and all pairs of classes (source, target) with one."""
    images = subject.images.float()
    answers = ask(images)
    examples = {
        c: images[torch.nonzero(answers == c).flatten()[0]]
        for c in range(subject.classes)
        if bool((answers == c).any())
    }
    return examples, [(i, j) for j in examples for i in examples if i != j]


def nearest(
    ask: _Answers,
    source: torch.Tensor,
    begin: torch.Tensor,
    target: torch.Tensor,
    protocol: DecisionAttack,
    seed: int = 0,
    progress: ShareProgress = silent_share,
) -> torch.Tensor:
    """Images near ``source`` that the network gives to ``target``, ``N x C x H x W``.

    Parameters
    ----------
    source : images of other classes, ``N x C x H x W``.
    begin : images that the network gives to ``target`` (``N``).
    """
    p, generator = protocol, torch.Generator().manual_seed(seed)
    pixels = source[0].numel()
    x = _to_boundary(ask, source, begin, target, p.halvings)
    for number in range(1, p.rounds + 1):
        far = (x - source).flatten(1).norm(dim=1)
        delta = (far / pixels**0.5).clamp_min(1e-3) if number > 1 else torch.full_like(far, 0.1)
        direction = _estimate(ask, x, target, delta, p.queries, generator)
        step, going = far / number**0.5, torch.ones(len(x), dtype=torch.bool, device=x.device)
        best = x.clone()
        for _ in range(p.halvings):
            tried = (x + _wide(step, x) * direction).clamp(0, 1)
            held = going & (ask(tried) == target)
            best[held] = tried[held]
            going &= ~held
            step = torch.where(going, step / 2, step)
            if not going.any():
                break
        x = _to_boundary(ask, source, best, target, p.halvings)
        progress(number / p.rounds)
    return x


def _wide(values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))


def _to_boundary(
    ask: _Answers, source: torch.Tensor, inside: torch.Tensor, target: torch.Tensor, halvings: int
) -> torch.Tensor:
    """By bisection between both, the point nearest to ``source`` that still has the target class."""
    low, high = torch.zeros(len(source), device=source.device), torch.ones(len(source), device=source.device)
    for _ in range(halvings):
        middle = (low + high) / 2
        held = ask(source + _wide(middle, source) * (inside - source)) == target
        high, low = torch.where(held, middle, high), torch.where(held, low, middle)
    return source + _wide(high, source) * (inside - source)


def _estimate(
    ask: _Answers,
    x: torch.Tensor,
    target: torch.Tensor,
    delta: torch.Tensor,
    queries: int,
    generator: torch.Generator,
) -> torch.Tensor:
    """Unit vectors towards the inside of the target classes, estimated from answers around ``x``."""
    noise = torch.randn(queries, *x.shape, generator=generator).to(x.device)
    noise = noise / noise.flatten(2).norm(dim=2).view(queries, len(x), *[1] * (x.ndim - 1))
    around = (x + _wide(delta, x) * noise).clamp(0, 1)
    answers = ask(around.flatten(0, 1)).view(queries, len(x))
    held = torch.where(answers == target, 1.0, -1.0)
    weight = held - held.mean(dim=0)
    # Where all answers agree, their own sign is the direction's.
    weight = torch.where(weight.abs().sum(dim=0) > 0, weight, held)
    mean = (weight.view(queries, len(x), *[1] * (x.ndim - 1)) * noise).mean(dim=0)
    unit: torch.Tensor = mean / mean.flatten(1).norm(dim=1).clamp_min(1e-12).view(-1, *[1] * (x.ndim - 1))
    return unit
