"""A small residual network: K. He et al., "Deep residual learning for image recognition", CVPR 2016, sec. 4.2."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import ACTIVATIONS, Architecture, Options, Shapes, activation_variants


class Block(nn.Module):
    """Residual block of two 3 x 3 convolutions, with or without batch norm."""

    def __init__(self, c_in: int, c_out: int, stride: int, norm: bool, activation: str) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride=stride, padding=1, bias=not norm)
        self.bn1: nn.Module = nn.BatchNorm2d(c_out) if norm else nn.Identity()
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=not norm)
        self.bn2: nn.Module = nn.BatchNorm2d(c_out) if norm else nn.Identity()
        self.shortcut: nn.Module = (
            nn.Identity() if stride == 1 and c_in == c_out else nn.Conv2d(c_in, c_out, 1, stride=stride)
        )
        self.activation = ACTIVATIONS[activation]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.activation(self.bn1(self.conv1(x)))))
        out: torch.Tensor = self.activation(y + self.shortcut(x))
        return out


class SmallResNet(Architecture):
    """Stages of residual blocks that halve the image, global average pooling, one linear layer.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of each stage; every stage but the first halves the image.
    blocks : residual blocks in each stage.
    stem_stride : stride of the first convolution; a stride of 2 costs a quarter of the time.
    norm : batch norm in every block.
    """

    name: ClassVar[str] = "small_resnet"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple(
        {**a, "stem_stride": s} for s in (1, 2) for a in activation_variants("relu")
    )

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        channels: tuple[int, ...] = (12, 24, 32),
        blocks: int = 1,
        stem_stride: int = 1,
        norm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, channels[0], 3, stride=stem_stride, padding=1, bias=not norm)
        self.bn: nn.Module = nn.BatchNorm2d(channels[0]) if norm else nn.Identity()
        self.activation = ACTIVATIONS[activation]()
        layers: list[nn.Module] = []
        c_in = channels[0]
        for stage, c_out in enumerate(channels):
            for block in range(blocks):
                stride = 2 if stage and not block else 1
                layers.append(Block(c_in, c_out, stride, norm, activation))
                c_in = c_out
        self.blocks = nn.Sequential(*layers)
        self.fc = nn.Linear(c_in, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.activation(self.bn(self.stem(x))))
        scores: torch.Tensor = self.fc(x.mean(dim=(2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem, head = shapes.get("stem.weight"), shapes.get("fc.weight")
        if stem is None or head is None or len(stem) != 4 or len(head) != 2:
            return None
        widths: list[int] = []
        while (conv := shapes.get(f"blocks.{len(widths)}.conv1.weight")) is not None:
            widths.append(conv[0])
        projections = sum(f"blocks.{i}.shortcut.weight" in shapes for i in range(len(widths)))
        stages = 1 + projections
        if not widths or len(widths) % stages:
            return None
        blocks = len(widths) // stages
        return {
            "in_channels": stem[1],
            "classes": head[0],
            "channels": tuple(widths[::blocks]),
            "blocks": blocks,
            "norm": "bn.running_mean" in shapes,
        }
