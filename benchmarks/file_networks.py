"""Small networks whose layers have the names and order that public repositories give them, for ``benchmarks.files``.

The names are facts of those repositories; the code is our own. Networks are narrow, so that training
takes seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks import file_keras


@dataclass(frozen=True)
class Origin:
    """A network as a repository builds it.

    Parameters
    ----------
    repository : whose names the layers have.
    build : makes the network, untrained.
    pack : the bundled pack with images that it takes.
    keras : the shape of an image in Keras, for a network that is saved in Keras's forms.
    """

    repository: str
    build: Callable[[], Any]
    pack: str
    keras: tuple[int, ...] | None = None


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

    def __init__(self, way: str, last: str, first: bool = False, width: int = 16, stages: int = 4) -> None:
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


class Wide(nn.Module):
    """A wide residual network with one block a stage, as WRN-10-1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        before = 16
        for stage, (after, stride) in enumerate(((16, 1), (32, 2), (64, 2))):
            block = Residual(before, after, stride, "convShortcut", True)
            if before != after:
                # These repositories put the convolution there without a sequence around it.
                block.convShortcut = nn.Conv2d(before, after, 1, stride, bias=False)
            self.add_module(f"block{stage + 1}", Named(layer=nn.Sequential(block)))
            before = after
        self.bn1, self.fc = nn.BatchNorm2d(before), nn.Linear(before, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        for stage in (1, 2, 3):
            x = getattr(self, f"block{stage}")(x)
        scores: torch.Tensor = self.fc(F.relu(self.bn1(x)).mean((2, 3)))
        return scores


def _sequences() -> nn.Module:
    """Each layer in a sequence of its own with what follows it, and a softmax at the end."""

    def conv(before: int, after: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(before, after, 5), nn.ReLU(), nn.AvgPool2d(2, 2))

    return Named(
        conv1=conv(1, 16),
        conv2=conv(16, 32),
        flat=nn.Flatten(),
        fc1=nn.Sequential(nn.Linear(512, 512), nn.ReLU()),
        fc2=nn.Sequential(nn.Linear(512, 10), nn.Softmax(dim=-1)),
    )


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
    for width in (16, 0, 32, 0, 64, 64, 0, 128, 128, 0, 128, 128, 0):
        if width:
            layers += [nn.Conv2d(before, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        else:
            layers.append(nn.MaxPool2d(2))
    return Named(features=nn.Sequential(*layers), flat=nn.Flatten(), classifier=nn.Linear(128, 10))


ORIGINS: dict[str, Origin] = {
    "conv1 conv2 fc1 fc2": Origin("BadNets", TwoConvolutions, "mnist"),
    "conv1.0 to fc2.0": Origin("BadNets", _sequences, "mnist"),
    "six convolutions": Origin("Neural Cleanse", file_keras.gtsrb, "gtsrb"),
    "perceptron": Origin("Neural Cleanse", _perceptron, "mnist"),
    "challenge": Origin("Trojan Detection Challenge", _challenge, "mnist"),
    "features, classifier": Origin("TrojanZoo", _named_blocks, "cifar10"),
    "vgg11_bn": Origin("BackdoorBench", _vgg, "cifar10"),
    "resnet18, shortcut": Origin("NAD, ABL", lambda: ResNet("shortcut", "linear"), "cifar10"),
    "wide residual": Origin("NAD, ABL", Wide, "cifar10"),
    "preact_resnet18": Origin("I-BAU", lambda: ResNet("shortcut", "linear", first=True), "cifar10"),
    "resnet18, downsample": Origin("torchvision", lambda: ResNet("downsample", "fc"), "cifar10"),
    "first example": Origin("Keras examples", file_keras.mnist_convnet, "mnist", (28, 28, 1)),
    "quickstart": Origin("Keras examples", file_keras.quickstart, "mnist", (28, 28)),
    "rows of pixels": Origin("Keras examples", file_keras.quickstart, "mnist", (784,)),
    "residual": Origin("Keras examples", file_keras.cifar10_resnet, "cifar10", (32, 32, 3)),
    "traffic signs": Origin("Neural Cleanse", file_keras.gtsrb, "gtsrb", (32, 32, 3)),
}
"""By name, every network that is saved. Another one is one entry."""
