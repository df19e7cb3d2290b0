"""Residual networks with grouped or widened bottlenecks, or with another head.

S. Xie et al., "Aggregated residual transformations for deep neural networks", CVPR 2017; S. Zagoruyko, N. Komodakis,
"Wide residual networks", BMVC 2016.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.residual import Residual, stage_options
from ti_core.architectures.torchvision_names.parts import PLAIN, STEMS, Head, head_of, stem_of
from ti_core.architectures.torchvision_names.parts import head as head_layers


class _Bottleneck(Residual):
    """A bottleneck whose 3 x 3 convolution may have groups, and inner channels of its own."""

    def __init__(self, c_in: int, inner: int, c_out: int, stride: int, groups: int) -> None:
        super().__init__(c_in, c_out // 4, stride, True, "downsample")
        self.conv1 = nn.Conv2d(c_in, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, c_out, 1, bias=False)


class TorchvisionResNet(Architecture):
    """ResNeXt, Wide ResNet-50 and -101, and ResNets whose last layer was replaced.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    blocks : residual blocks in each stage.
    inner, outer : inner and final channels of each stage.
    groups : groups of the 3 x 3 convolution of a bottleneck.
    bottleneck : blocks of 1 x 1, 3 x 3, 1 x 1 convolutions; otherwise of two 3 x 3 ones.
    channels, kernel : channels and side of the first convolution.
    head : layers of ``fc``.
    stem : see :func:`~ti_core.architectures.torchvision_names.parts.stem_of`.
    """

    name: ClassVar[str] = "torchvision_resnet"
    VARIANTS: ClassVar[tuple[Options, ...]] = STEMS

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        blocks: tuple[int, ...] = (3, 4, 6, 3),
        inner: tuple[int, ...] = (128, 256, 512, 1024),
        outer: tuple[int, ...] = (256, 512, 1024, 2048),
        groups: int = 32,
        bottleneck: bool = True,
        channels: int = 64,
        kernel: int = 7,
        head: Head = PLAIN,
        stem: str = "usual",
    ) -> None:
        super().__init__()
        stride, self.maxpool = stem_of(stem, kernel)
        self.conv1 = nn.Conv2d(in_channels, channels, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU()
        c_in = channels
        for stage, (count, mid, c_out) in enumerate(zip(blocks, inner, outer, strict=True), 1):
            layers: list[nn.Module] = []
            for block in range(count):
                step = 2 if stage > 1 and not block else 1
                layers.append(
                    _Bottleneck(c_in, mid, c_out, step, groups)
                    if bottleneck
                    else Residual(c_in, c_out, step, False, "downsample")
                )
                c_in = c_out
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        self.depth = len(blocks)
        self.fc = head_layers(head, c_in, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for stage in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        scores: torch.Tensor = self.fc(x.mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        found = stage_options({**shapes, "fc.weight": (0, 0)}, "fc")
        if found is None or not any(key.startswith("fc.") for key in shapes):
            return None
        layers, classes = head_of(shapes, "fc")
        firsts = [f"layer{i + 1}.0" for i in range(len(found["blocks"]))]
        bottleneck = found["bottleneck"]
        outer = tuple(shapes[f"{f}.conv{3 if bottleneck else 2}.weight"][0] for f in firsts)
        groups = shapes["layer1.0.conv2.weight"][0] // shapes["layer1.0.conv2.weight"][1] if bottleneck else 1
        plain = outer == tuple(4 * n for n in found["channels"]) if bottleneck else True
        if layers == PLAIN and groups == 1 and plain:
            # This is the architecture "resnet".
            return None
        return {
            "in_channels": found["in_channels"],
            "classes": classes,
            "blocks": found["blocks"],
            "inner": found["channels"],
            "outer": outer,
            "groups": groups,
            "bottleneck": bottleneck,
            "channels": shapes["conv1.weight"][0],
            "kernel": shapes["conv1.weight"][2],
            "head": layers,
        }
