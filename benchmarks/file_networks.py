"""Small networks whose layers have the names and order that public repositories give them, for ``benchmarks.files``.

The names are facts of those repositories; the code is our own. A network is made narrow where its repository lets one
choose, so that it is trained in seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Origin:
    """A network as a repository builds it.

    Parameters
    ----------
    repository : whose names the layers have.
    build : makes the network, untrained.
    pack : the bundled pack with images that it takes.
    """

    repository: str
    build: Callable[[], nn.Module]
    pack: str


class TwoConvolutions(nn.Module):
    """Two convolutions, each with ReLU and average pooling, and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 5), nn.Conv2d(16, 32, 5)
        self.fc1, self.fc2 = nn.Linear(512, 512), nn.Linear(512, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool2d(F.relu(self.conv1(x)), 2)
        x = F.avg_pool2d(F.relu(self.conv2(x)), 2)
        scores: torch.Tensor = self.fc2(F.relu(self.fc1(x.flatten(1))))
        return scores


class Named(nn.Module):
    """Layers in a chain that hang under names of their own."""

    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for part in self.children():
            x = part(x)
        return x


class Residual(nn.Module):
    """Two convolutions with batch normalisation before or behind them, and a shortcut."""

    def __init__(self, before: int, after: int, stride: int, way: str, first: bool) -> None:
        super().__init__()
        self.first = first
        self.bn1 = nn.BatchNorm2d(before if first else after)
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(after), nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.way = way
        if stride != 1 or before != after:
            parts: list[nn.Module] = [nn.Conv2d(before, after, 1, stride, bias=False)]
            self.add_module(way, nn.Sequential(*parts, *([] if first else [nn.BatchNorm2d(after)])))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = getattr(self, self.way, None)
        if self.first:
            shown = F.relu(self.bn1(x))
            out = self.conv2(F.relu(self.bn2(self.conv1(shown))))
            return out + (x if shortcut is None else shortcut(shown))
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + (x if shortcut is None else shortcut(x)))


class ResNet(nn.Module):
    """Stages of residual blocks behind one convolution.

    Parameters
    ----------
    way : name of the shortcut; "downsample" in torchvision, "shortcut" in the CIFAR repositories.
    last : name of the linear layer.
    first : whether normalisation stands before the convolutions.
    """

    def __init__(self, way: str, last: str, first: bool = False, width: int = 64, stages: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        if not first:
            self.bn1 = nn.BatchNorm2d(width)
        self.first, self.last, self.stages = first, last, stages
        before = width
        for stage in range(stages):
            after, stride = width << stage, 1 if stage == 0 else 2
            blocks = [Residual(before, after, stride, way, first), Residual(after, after, 1, way, first)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
            before = after
        self.add_module(last, nn.Linear(before, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        if not self.first:
            x = F.relu(self.bn1(x))
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        scores: torch.Tensor = getattr(self, self.last)(x.mean((2, 3)))
        return scores


def _perceptron() -> nn.Module:
    return Named(
        flat=nn.Flatten(),
        net=nn.Sequential(nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10)),
    )


def _challenge() -> nn.Module:
    layers: list[nn.Module] = []
    for before, after, size, stride in ((1, 16, 3, 1), (16, 32, 4, 2), (32, 32, 4, 2)):
        layers += [nn.Conv2d(before, after, size, stride, 1), nn.BatchNorm2d(after), nn.ReLU()]
    layers += [nn.Flatten(), nn.Linear(32 * 49, 128), nn.BatchNorm1d(128), nn.ReLU(), nn.Linear(128, 10)]
    return Named(main=nn.Sequential(*layers))


def _named_blocks() -> nn.Module:
    """TrojanZoo's split into features and classifier."""
    convolutions = [
        nn.Conv2d(3, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
    ]
    return Named(
        features=nn.Sequential(*convolutions, nn.ReLU(), nn.MaxPool2d(2)),
        classifier=nn.Sequential(nn.Flatten(), nn.Linear(2048, 10)),
    )


def _vgg() -> nn.Module:
    """VGG-11 with batch normalisation by torchvision's numbers, and one linear layer as on CIFAR."""
    layers: list[nn.Module] = []
    before = 3
    for width in (64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0):
        if width:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        else:
            layers.append(nn.MaxPool2d(2))
    return Named(features=nn.Sequential(*layers), flat=nn.Flatten(), classifier=nn.Linear(512, 10))


ORIGINS: dict[str, Origin] = {
    "conv1 conv2 fc1 fc2": Origin("BadNets", TwoConvolutions, "mnist"),
    "perceptron": Origin("Neural Cleanse", _perceptron, "mnist"),
    "challenge": Origin("Trojan Detection Challenge", _challenge, "mnist"),
    "features, classifier": Origin("TrojanZoo", _named_blocks, "cifar10"),
    "vgg11_bn": Origin("BackdoorBench", _vgg, "cifar10"),
    "resnet18, shortcut": Origin("NAD, ABL", lambda: ResNet("shortcut", "linear"), "cifar10"),
    "preact_resnet18": Origin("I-BAU", lambda: ResNet("shortcut", "linear", first=True), "cifar10"),
    "resnet18, downsample": Origin("torchvision", lambda: ResNet("downsample", "fc"), "cifar10"),
}
"""By name, every network that is saved. Another one is one entry."""
