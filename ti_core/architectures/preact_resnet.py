"""Pre-activation ResNets: K. He et al., "Identity mappings in deep residual networks", ECCV 2016."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.residual import stage_options


class PreActBlock(nn.Module):
    """Residual block with batch norm and ReLU before each convolution.

    A short cut with a convolution starts after the first batch norm and ReLU.
    """

    def __init__(self, c_in: int, inner: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        c_out = inner * (4 if bottleneck else 1)
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv1 = (
            nn.Conv2d(c_in, inner, 1, bias=False)
            if bottleneck
            else nn.Conv2d(c_in, inner, 3, stride=stride, padding=1, bias=False)
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride if bottleneck else 1, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(inner) if bottleneck else None
        self.conv3 = nn.Conv2d(inner, c_out, 1, bias=False) if bottleneck else None
        self.relu = nn.ReLU()
        changes = stride != 1 or c_in != c_out
        self.shortcut = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)) if changes else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn1(x))
        identity = x if self.shortcut is None else self.shortcut(y)
        y = self.conv2(self.relu(self.bn2(self.conv1(y))))
        if self.conv3 is not None and self.bn3 is not None:
            y = self.conv3(self.relu(self.bn3(y)))
        out: torch.Tensor = y + identity
        return out


class PreActResNet(Architecture):
    """PreAct-ResNet-18 and similar networks for small images, with the tensor names of CIFAR repositories.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    blocks, channels : number of blocks and inner channels of each stage.
    bottleneck : whether the blocks are bottlenecks of 1 x 1, 3 x 3 and 1 x 1 convolutions.
    """

    name: ClassVar[str] = "preact_resnet"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        channels: tuple[int, ...] = (64, 128, 256, 512),
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        c_in = channels[0]
        for stage, (count, inner) in enumerate(zip(blocks, channels, strict=True)):
            layers = []
            for block in range(count):
                layers.append(PreActBlock(c_in, inner, 2 if stage and not block else 1, bottleneck))
                c_in = inner * (4 if bottleneck else 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*layers))
        self.depth = len(blocks)
        self.linear = nn.Linear(c_in, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv1(x)
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{i}")(x)
        scores: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        return None if "bn1.weight" in shapes else stage_options(shapes, "linear")
