"""VGG: K. Simonyan, A. Zisserman, "Very deep convolutional networks for image recognition", ICLR 2015."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes

VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


class VGG(Architecture):
    """VGG-11, -13, -16, -19, with batch norm or without, with torchvision's tensor names or the CIFAR ones.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    layers : channels of each 3 x 3 convolution, 0 for 2 x 2 max-pooling.
    norm : batch norm after every convolution.
    side : side to which the features are pooled before the head; torchvision has 7.
    head : place in the sequence ``classifier`` and units of each linear layer. The last layer has 0 for its
        units, which stands for the class count. Empty where ``classifier`` is a single linear layer.
    """

    name: ClassVar[str] = "vgg"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        layers: tuple[int, ...] = VGG16,
        norm: bool = True,
        side: int = 1,
        head: tuple[tuple[int, int], ...] = (),
    ) -> None:
        super().__init__()
        features: list[nn.Module] = []
        c_in = in_channels
        for c_out in layers:
            if not c_out:
                features.append(nn.MaxPool2d(2))
                continue
            features.append(nn.Conv2d(c_in, c_out, 3, padding=1))
            features += [nn.BatchNorm2d(c_out), nn.ReLU()] if norm else [nn.ReLU()]
            c_in = c_out
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.classifier: nn.Module = _head(c_in * side * side, classes, head)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        convs = {
            int(k.split(".")[1]): s for k, s in shapes.items() if k.startswith("features.") and len(s) == 4
        }
        if not convs or 0 not in convs:
            return None
        norm = "features.1.running_mean" in shapes
        step = 3 if norm else 2
        places = sorted(convs)
        layers: list[int] = []
        for place, following in zip(places, [*places[1:], 0], strict=True):
            layers.append(convs[place][0])
            if following != place + step:
                layers.append(0)
        linear = {
            int(k.split(".")[1]): s
            for k, s in shapes.items()
            if k.startswith("classifier.") and k.count(".") == 2 and len(s) == 2
        }
        first, last = shapes.get("classifier.weight"), shapes.get("classifier.weight")
        if linear:
            first, last = linear[min(linear)], linear[max(linear)]
        if first is None or last is None:
            return None
        return {
            "in_channels": convs[0][1],
            "classes": last[0],
            "layers": tuple(layers),
            "norm": norm,
            "side": math.isqrt(first[1] // convs[places[-1]][0]),
            "head": tuple(
                (place, 0 if place == max(linear) else linear[place][0]) for place in sorted(linear)
            ),
        }


def _head(features: int, classes: int, head: tuple[tuple[int, int], ...]) -> nn.Module:
    if not head:
        return nn.Linear(features, classes)
    # ReLU and dropout stand between the linear layers, in either order. In evaluation only ReLU has an effect.
    layers: list[nn.Module] = [nn.Identity() for _ in range(head[-1][0] + 1)]
    for place, units in head:
        layers[place] = nn.Linear(features, units or classes)
        if units:
            layers[place + 1] = nn.ReLU()
        features = units
    return nn.Sequential(*layers)
