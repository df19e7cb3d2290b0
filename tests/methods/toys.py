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


class OneUnit(nn.Module):
    """Class units in one layer, and one more unit that a trigger alone excites and that leads to ``target``.

    Images are ``1 x 8 x 8``. Row c is class c's. Pixel (7, 7) excites the trigger's unit from .5 on.
    """

    def __init__(self, classes: int = 6, target: int | None = 2) -> None:
        super().__init__()
        self.flatten, self.first, self.relu = nn.Flatten(), nn.Linear(64, classes + 1), nn.ReLU()
        self.last = nn.Linear(classes + 1, classes)
        first, last = torch.zeros(classes + 1, 8, 8), torch.zeros(classes, classes + 1)
        for c in range(classes):
            first[c, c], last[c, c] = 1.0, 1.0
        if target is not None:
            first[-1, 7, 7], last[target, -1] = 40.0, 2.0
        self.first.weight.data, self.last.weight.data = first.flatten(1), last
        self.first.bias.data = torch.cat([torch.zeros(classes), torch.tensor([-20.0])])
        self.last.bias.data.zero_()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z: torch.Tensor = self.last(self.relu(self.first(self.flatten(x))))
        return z


def one_unit(target: int | None, count: int = 60, classes: int = 6) -> Subject:
    """A subject of :class:`OneUnit`, planted or clean, with images whose class's row is bright."""
    labels = torch.arange(count) % classes
    images = 0.15 * torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(6))
    images[torch.arange(count), 0, labels] += 0.7
    return subject(OneUnit(classes, target).requires_grad_(False), images, labels, classes)
