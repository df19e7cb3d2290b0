"""Wide residual networks: S. Zagoruyko, N. Komodakis, "Wide residual networks", BMVC 2016."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes


class WideBlock(nn.Module):
    """Residual block of two 3 x 3 convolutions, each after batch norm and ReLU."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.convShortcut = None if c_in == c_out else nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu1(self.bn1(x))
        # Where the width changes, the short cut starts after the first activation.
        identity = x if self.convShortcut is None else self.convShortcut(y)
        out: torch.Tensor = identity + self.conv2(self.relu2(self.bn2(self.conv1(y))))
        return out


class WideStage(nn.Module):
    """Blocks of one width. The first one changes the width and has the stride."""

    def __init__(self, blocks: int, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(
            *(WideBlock(c_out if i else c_in, c_out, 1 if i else stride) for i in range(blocks))
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.layer(x)
        return out


class WideResNet(Architecture):
    """WRN-d-k for small images, with the tensor names of the Trojan Detection Challenge's ``wrn.py``.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    blocks : residual blocks in each of the three stages; the depth d is ``6 blocks + 4``.
    channels : channels of the stem and of the three stages; WRN-d-k has (16, 16 k, 32 k, 64 k).
    """

    name: ClassVar[str] = "wide_resnet"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        blocks: int = 6,
        channels: tuple[int, int, int, int] = (16, 32, 64, 128),
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        self.block1 = WideStage(blocks, channels[0], channels[1], 1)
        self.block2 = WideStage(blocks, channels[1], channels[2], 2)
        self.block3 = WideStage(blocks, channels[2], channels[3], 2)
        self.bn1 = nn.BatchNorm2d(channels[3])
        self.relu = nn.ReLU()
        self.fc = nn.Linear(channels[3], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.block3(self.block2(self.block1(self.conv1(x))))
        scores: torch.Tensor = self.fc(self.relu(self.bn1(x)).mean(dim=(2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem, head = shapes.get("conv1.weight"), shapes.get("fc.weight")
        firsts = [shapes.get(f"block{stage}.layer.0.conv1.weight") for stage in (1, 2, 3)]
        if stem is None or head is None or len(stem) != 4 or len(head) != 2 or None in firsts:
            return None
        blocks = 1
        while f"block1.layer.{blocks}.conv1.weight" in shapes:
            blocks += 1
        return {
            "in_channels": stem[1],
            "classes": head[0],
            "blocks": blocks,
            "channels": (stem[0], *(first[0] for first in firsts if first is not None)),
        }
