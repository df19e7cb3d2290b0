"""Universal litmus patterns: images, and a linear head on the scores that a network gives for them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from ti_core.methods.base import Source
from ti_core.methods.published.queries import Queries, QueryMethod


@dataclass(frozen=True)
class LitmusTraining:
    """How patterns and head are learnt.

    Parameters
    ----------
    patterns : number of images.
    epochs : passes over the zoo.
    rate, group : of gradient descent on the images, and the networks whose gradients make one step.
    head_rate : of Adam on the head.
    smooth : weight of the images' total variation.
    """

    patterns: int = 10
    epochs: int = 20
    rate: float = 1.0
    group: int = 20
    head_rate: float = 1e-3
    smooth: float = 1e-6


class LitmusPatterns(QueryMethod):
    """Universal litmus patterns."""

    name = "ulp"
    title = "Universal litmus patterns"
    version = 2
    source = Source(
        "S. Kolouri, A. Saha, H. Pirsiavash, H. Hoffmann",
        2020,
        "CVPR",
        "https://arxiv.org/abs/1906.10842",
        "that it works on thousands of networks of MNIST, CIFAR-10, GTSRB and Tiny-ImageNet",
    )
    sees = "what tells the backdoored networks of the pack from its clean ones"
    differs = "The zoo is the pack's, with several architectures. Images are in [0, 1], and the rates are set for that."

    def __init__(self, protocol: LitmusTraining | None = None) -> None:
        self.protocol: LitmusTraining = protocol or LitmusTraining()

    def fresh(self, shape: tuple[int, int, int], classes: int) -> Queries:
        p = self.protocol
        return Queries(torch.rand(p.patterns, *shape), nn.Linear(p.patterns * classes, 1))

    def train(self, queries: Queries, samples: Iterator[tuple[nn.Module, bool]]) -> None:
        p = self.protocol
        adam = torch.optim.Adam(queries.head.parameters(), lr=p.head_rate)
        descent = torch.optim.SGD([queries.images], lr=p.rate)
        for number, (scores, trojaned) in enumerate(samples, start=1):
            loss = binary_cross_entropy_with_logits(queries(scores), torch.tensor(float(trojaned)))
            (loss / p.group).backward()
            for weight in queries.head.parameters():
                # Only the images wait for a whole group.
                weight.grad = None if weight.grad is None else weight.grad * p.group
            adam.step()
            adam.zero_grad()
            if number % p.group == 0:
                (p.smooth * total_variation(queries.images)).backward()
                descent.step()
                descent.zero_grad()
                with torch.no_grad():
                    queries.images.clamp_(0, 1)


def total_variation(images: torch.Tensor) -> torch.Tensor:
    """Sum of the absolute differences of neighbouring pixels."""
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().sum()
    return down + (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().sum()
