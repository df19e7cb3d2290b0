"""AlexNet and SqueezeNet: networks whose numbers in ``features`` show where they pool.

A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014; F. Iandola et al., "SqueezeNet",
2016.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import LINEAR, Head, head_of
from ti_core.architectures.torchvision_names.parts import head as head_layers

_ALEX_HEAD: Head = (("1", LINEAR, 4096), ("4", LINEAR, 4096), ("6", LINEAR, 0))


class AlexNet(Architecture):
    """AlexNet, also with the single last layer that is usual for small images.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    convolutions : channels and side of each convolution.
    side : side to which the features are pooled before the head; 1 means that they are not pooled.
    head : layers of ``classifier``.
    """

    name: ClassVar[str] = "alexnet"
    _PLACES = (0, 3, 6, 8, 10)

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        convolutions: tuple[tuple[int, int], ...] = ((64, 11), (192, 5), (384, 3), (256, 3), (256, 3)),
        side: int = 6,
        head: Head = _ALEX_HEAD,
    ) -> None:
        super().__init__()
        small = side == 1
        layers: list[nn.Module] = []
        for number, (c_out, kernel) in enumerate(convolutions):
            # For images of 32 x 32 the first convolution is padded so that one pixel is left at the end.
            stride, padding = (4, 5 if small else 2) if not number else (1, kernel // 2)
            layers += [nn.Conv2d(in_channels, c_out, kernel, stride, padding), nn.ReLU()]
            if number in (0, 1, 4):
                layers.append(nn.MaxPool2d(2 if small else 3, 2))
            in_channels = c_out
        self.features = nn.Sequential(*layers)
        self.avgpool: nn.Module = nn.Identity() if small else nn.AdaptiveAvgPool2d(side)
        self.classifier = head_layers(head, in_channels * side * side, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        convolutions = [shapes.get(f"features.{place}.weight", ()) for place in cls._PLACES]
        if any(len(shape) != 4 for shape in convolutions) or convolutions[0][2] != 11:
            return None
        layers, classes = head_of(shapes, "classifier")
        first = shapes[f"classifier.{layers[0][0]}.weight" if layers[0][0] else "classifier.weight"]
        return {
            "in_channels": convolutions[0][1],
            "classes": classes,
            "convolutions": tuple((shape[0], shape[2]) for shape in convolutions),
            "side": math.isqrt(first[1] // convolutions[-1][0]),
            "head": layers,
        }


class _Fire(nn.Module):
    """A 1 x 1 convolution to few channels, then 1 x 1 and 3 x 3 ones side by side."""

    def __init__(self, c_in: int, squeezed: int, small: int, large: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(c_in, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, small, 1)
        self.expand3x3 = nn.Conv2d(squeezed, large, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.squeeze(x).relu()
        return torch.cat((self.expand1x1(x), self.expand3x3(x)), 1).relu()


class SqueezeNet(Architecture):
    """SqueezeNet 1.0 and 1.1.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels, kernel : channels and side of the first convolution.
    fires : place in ``features`` and the three widths of each fire module. A place that is left out pools.
    """

    name: ClassVar[str] = "squeezenet"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: int = 64,
        kernel: int = 3,
        fires: tuple[tuple[int, int, int, int], ...] = (
            (3, 16, 64, 64),
            (4, 16, 64, 64),
            (6, 32, 128, 128),
            (7, 32, 128, 128),
            (9, 48, 192, 192),
            (10, 48, 192, 192),
            (11, 64, 256, 256),
            (12, 64, 256, 256),
        ),
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(in_channels, channels, kernel, stride=2), nn.ReLU()]
        for place, squeezed, small, large in fires:
            while len(layers) < place:
                layers.append(nn.MaxPool2d(3, stride=2, ceil_mode=True))
            layers.append(_Fire(channels, squeezed, small, large))
            channels = small + large
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Identity(), nn.Conv2d(channels, classes, 1), nn.ReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(x)).mean((2, 3))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem, last = shapes.get("features.0.weight"), shapes.get("classifier.1.weight")
        places = sorted(int(k.split(".")[1]) for k in shapes if k.endswith(".squeeze.weight"))
        if stem is None or last is None or not places or places[-1] > 64:
            return None
        parts = ("squeeze", "expand1x1", "expand3x3")
        return {
            "in_channels": stem[1],
            "classes": last[0],
            "channels": stem[0],
            "kernel": stem[2],
            "fires": tuple(
                (place, *(shapes[f"features.{place}.{part}.weight"][0] for part in parts)) for place in places
            ),
        }
