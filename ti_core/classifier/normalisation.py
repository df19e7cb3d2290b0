"""The declared step in front of a network: images in [0, 1] to what it was trained on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from ti_core.errors import SettingsError


@dataclass(frozen=True)
class Normalisation:
    """``(x - mean) / std`` per channel on images in [0, 1]; one number serves every channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    says: str


# Means and deviations are those of each data set's training split.
NORMALISATIONS: dict[str, Normalisation] = {
    "none": Normalisation((0.0,), (1.0,), "the range 0 to 1"),
    "half": Normalisation((0.5,), (0.5,), "the range -1 to 1"),
    "bytes": Normalisation((0.0,), (1 / 255,), "the range 0 to 255"),
    "caffe": Normalisation(
        (123.68 / 255, 116.779 / 255, 103.939 / 255),
        (1 / 255,) * 3,
        "the range 0 to 255 less ImageNet's mean",
    ),
    "mnist": Normalisation((0.1307,), (0.3081,), "MNIST's mean and deviation"),
    "fashion_mnist": Normalisation((0.2860,), (0.3530,), "Fashion-MNIST's mean and deviation"),
    "cifar10": Normalisation(
        (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616), "CIFAR-10's mean and deviation"
    ),
    "cifar10_short": Normalisation(
        (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010), "CIFAR-10's mean, common deviation"
    ),
    "cifar100": Normalisation(
        (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762), "CIFAR-100's mean and deviation"
    ),
    "gtsrb": Normalisation((0.3398, 0.3117, 0.3210), (0.2755, 0.2647, 0.2712), "GTSRB's mean and deviation"),
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "ImageNet's mean and deviation"),
}


def fitting(channels: int) -> list[str]:
    """Names of the normalisations that apply to images of that many channels."""
    return [name for name, n in NORMALISATIONS.items() if len(n.mean) in (1, channels)]


class Normalise(nn.Module):
    """The normalisation ``name`` as a layer; maps ``N x C x H x W`` in [0, 1] to the same shape.

    Raises
    ------
    SettingsError : no normalisation has that name.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        if name not in NORMALISATIONS:
            raise SettingsError(f"Normalisation {name!r} is unknown; known are {', '.join(NORMALISATIONS)}.")
        chosen = NORMALISATIONS[name]
        self.name = name
        self.register_buffer("mean", torch.tensor(chosen.mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(chosen.std).view(1, -1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if self.name == "none" else (x - self.mean) / self.std


def behind(normalisation: str, network: nn.Module) -> nn.Sequential:
    """The network with its normalisation in front: images in [0, 1] to class scores, in evaluation mode."""
    return nn.Sequential(Normalise(normalisation), network).eval()
