"""DenseNet: G. Huang et al., "Densely connected convolutional networks", CVPR 2017."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import PLAIN, STEMS, Chain, Head, head_of, stem_of
from ti_core.architectures.torchvision_names.parts import head as head_layers


class _DenseLayer(nn.Module):
    """A bottleneck whose few channels are joined to all channels before it."""

    def __init__(self, c_in: int, inner: int, growth: int, dotted: bool) -> None:
        super().__init__()
        dot = "." if dotted else ""
        layers: list[tuple[str, nn.Module]] = [
            (f"norm{dot}1", nn.BatchNorm2d(c_in)),
            ("relu1", nn.ReLU()),
            (f"conv{dot}1", nn.Conv2d(c_in, inner, 1, bias=False)),
            (f"norm{dot}2", nn.BatchNorm2d(inner)),
            ("relu2", nn.ReLU()),
            (f"conv{dot}2", nn.Conv2d(inner, growth, 3, padding=1, bias=False)),
        ]
        chain = Chain(layers)
        self.order = chain.order
        for name, child in chain.named_children():
            self.add_module(name, child)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for path in self.order:
            y = self.get_submodule(path)(y)
        return torch.cat((x, y), 1)


class DenseNet(Architecture):
    """DenseNet-121, -161, -169, -201 and similar networks.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels, kernel : channels and side of the first convolution.
    blocks : layers of each dense block.
    growth, inner : channels that a layer adds, and channels inside it.
    reduced : channels after each transition.
    dotted : tensor names ``norm.1`` and ``conv.1`` as in the files that torchvision published first.
    head : layers of ``classifier``.
    stem : see :func:`~ti_core.architectures.torchvision_names.parts.stem_of`.
    """

    name: ClassVar[str] = "densenet"
    VARIANTS: ClassVar[tuple[Options, ...]] = STEMS

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: int = 64,
        kernel: int = 7,
        blocks: tuple[int, ...] = (6, 12, 24, 16),
        growth: int = 32,
        inner: int = 128,
        reduced: tuple[int, ...] = (128, 256, 512),
        dotted: bool = False,
        head: Head = PLAIN,
        stem: str = "usual",
    ) -> None:
        super().__init__()
        stride, pool = stem_of(stem, kernel)
        self.features = nn.Sequential()
        self.features.add_module(
            "conv0", nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        )
        for name, layer in (("norm0", nn.BatchNorm2d(channels)), ("relu0", nn.ReLU()), ("pool0", pool)):
            self.features.add_module(name, layer)
        for number, count in enumerate(blocks, 1):
            block = nn.Sequential()
            for i in range(1, count + 1):
                block.add_module(f"denselayer{i}", _DenseLayer(channels, inner, growth, dotted))
                channels += growth
            self.features.add_module(f"denseblock{number}", block)
            if number < len(blocks):
                self.features.add_module(
                    f"transition{number}", _transition(channels, channels := reduced[number - 1])
                )
        self.features.add_module(f"norm{len(blocks) + 1}", nn.BatchNorm2d(channels))
        self.classifier = head_layers(head, channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(x).relu().mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("features.conv0.weight")
        if stem is None:
            return None
        layers, classes = head_of(shapes, "classifier")
        dotted = "features.denseblock1.denselayer1.conv.1.weight" in shapes
        first, second = ("conv.1", "conv.2") if dotted else ("conv1", "conv2")
        blocks: list[int] = []
        while f"features.denseblock{len(blocks) + 1}.denselayer1.{first}.weight" in shapes:
            block, count = f"features.denseblock{len(blocks) + 1}", 1
            while f"{block}.denselayer{count + 1}.{first}.weight" in shapes:
                count += 1
            blocks.append(count)
        layer = "features.denseblock1.denselayer1"
        return {
            "in_channels": stem[1],
            "classes": classes,
            "channels": stem[0],
            "kernel": stem[2],
            "blocks": tuple(blocks),
            "growth": shapes[f"{layer}.{second}.weight"][0],
            "inner": shapes[f"{layer}.{first}.weight"][0],
            "reduced": tuple(shapes[f"features.transition{i}.conv.weight"][0] for i in range(1, len(blocks))),
            "dotted": dotted,
            "head": layers,
        }


def _transition(c_in: int, c_out: int) -> nn.Sequential:
    made = nn.Sequential()
    made.add_module("norm", nn.BatchNorm2d(c_in))
    made.add_module("relu", nn.ReLU())
    made.add_module("conv", nn.Conv2d(c_in, c_out, 1, bias=False))
    made.add_module("pool", nn.AvgPool2d(2, stride=2))
    return made
