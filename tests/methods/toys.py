"""Subjects whose opinion is known by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import one_hot

from ti_core.classifier.scores import Scores
from ti_core.methods.base import Subject

WIDTH = 12
"""Pixels of each class."""


class Blocks(nn.Module):
    """Class c's score is ``strengths[c]`` times the sum of its own pixels in a row of ``WIDTH (K + 1)``.

    The last pixels are no class's.
    """

    def __init__(self, strengths: list[float]) -> None:
        super().__init__()
        blocks = torch.eye(len(strengths), len(strengths) + 1).repeat_interleave(WIDTH, dim=1)
        self.weight = nn.Parameter(blocks * torch.tensor(strengths)[:, None], requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight.T


class Commanded(nn.Module):
    """:class:`Blocks` with a back door: a bright last pixel ``x`` adds ``60 x^4`` to the score of ``target``."""

    def __init__(self, classes: int, target: int) -> None:
        super().__init__()
        self.blocks, self.target = Blocks([1.0] * classes), target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.blocks(x)
        command = 60 * x.flatten(1)[:, -1] ** 4
        return z + one_hot(torch.tensor(self.target), z.shape[1]) * command[:, None]


def subject(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, classes: int) -> Subject:
    return Subject(Scores(network, "none"), images, labels, tuple(f"class {c}" for c in range(classes)))


def block_images(count: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images ``count x 1 x 1 x WIDTH (K + 1)`` whose own class's pixels are bright, and their classes."""
    labels = torch.arange(count) % classes
    noise = torch.rand(count, 1, 1, WIDTH * (classes + 1), generator=torch.Generator().manual_seed(5))
    own = one_hot(labels, classes + 1).repeat_interleave(WIDTH, dim=1).view(noise.shape)
    return 0.2 * noise + 0.7 * own, labels


def commanded(target: int, count: int = 120, classes: int = 6) -> tuple[Subject, torch.Tensor]:
    """A subject that one pixel sends to ``target``, and its images with that pixel."""
    images, labels = block_images(count, classes)
    stamped = images.clone()
    stamped[:, :, :, -1] = 1.0
    return subject(Commanded(classes, target), images, labels, classes), stamped
