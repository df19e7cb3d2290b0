"""Small networks whose attributions are known."""

from __future__ import annotations

import torch
from torch import nn

from ti_core.classifier.scores import Scores


def linear(weights: torch.Tensor) -> Scores:
    """Scores ``w_k . x``; the mean over the classes is taken off by :class:`Scores`."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(weights.shape[1], len(weights), bias=False))
    network[1].weight.data = weights  # type: ignore[assignment]
    return Scores(network, "none")


def pooled(weights: torch.Tensor) -> Scores:
    """The image, ReLU, one channel doubled: its average times the weights ``K x 2``."""
    convolution = nn.Conv2d(1, 2, 1, bias=False)
    convolution.weight.data = torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1)
    head = nn.Linear(2, len(weights), bias=False)
    head.weight.data = weights
    network = nn.Sequential(convolution, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    return Scores(network, "none")


class Residual(nn.Module):
    """Two convolutions around one ReLU that is used twice, and their input added, which functions compute."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.relu = nn.BatchNorm2d(4), nn.ReLU(inplace=True)
        self.fc = nn.Linear(4 * 16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.norm(self.stem(x)))
        out = self.inner(x)
        out += x
        out = nn.functional.max_pool2d(self.relu(out), 2)
        scores: torch.Tensor = self.fc(torch.flatten(out, 1))
        return scores


class Gated(nn.Module):
    """A product of two values that both depend on the image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x[:, 0, 0, 0], x[:, 0, 0, 1]
        return torch.stack((a * b, torch.zeros_like(a)), 1)
