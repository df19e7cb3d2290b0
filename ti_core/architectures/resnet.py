"""Residual networks: K. He et al., "Deep residual learning for image recognition", CVPR 2016."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.residual import stage_options, stages


class ResNet(Architecture):
    """ResNet-18, -34, -50 and similar networks, with torchvision's tensor names.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    blocks : residual blocks in each stage; (2, 2, 2, 2) is ResNet-18, (3, 4, 6, 3) ResNet-34 and -50.
    channels : inner channels of each stage.
    bottleneck : blocks of 1 x 1, 3 x 3, 1 x 1 convolutions, whose output has four times the inner channels.
    kernel : side of the first convolution, 7 for large images, 3 for small ones.
    stem : stride and pooling of the first convolution, which its shape does not show. "usual": stride 2 and
        max-pooling with kernel 7, neither with kernel 3; "plain": neither; "stride": stride 2 alone; "pool":
        max-pooling alone.
    """

    name: ClassVar[str] = "resnet"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple({"stem": s} for s in ("usual", "plain", "stride", "pool"))

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        blocks: tuple[int, ...] = (2, 2, 2, 2),
        channels: tuple[int, ...] = (64, 128, 256, 512),
        bottleneck: bool = False,
        kernel: int = 7,
        stem: str = "usual",
    ) -> None:
        super().__init__()
        large = kernel > 3
        stride = 2 if stem == "stride" or (stem == "usual" and large) else 1
        pooled = stem == "pool" or (stem == "usual" and large)
        self.conv1 = nn.Conv2d(
            in_channels, channels[0], kernel, stride=stride, padding=kernel // 2, bias=False
        )
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU()
        self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1) if pooled else nn.Identity()
        for i, stage in enumerate(stages(blocks, channels, bottleneck, "downsample", channels[0]), 1):
            self.add_module(f"layer{i}", stage)
        self.depth = len(blocks)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels[-1] * (4 if bottleneck else 1), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{i}")(x)
        scores: torch.Tensor = self.fc(torch.flatten(self.avgpool(x), 1))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        options = stage_options(shapes, "fc")
        return None if options is None else {**options, "kernel": shapes["conv1.weight"][2]}


class CifarResNet(Architecture):
    """Residual networks for small images, with the tensor names of the usual CIFAR repositories.

    Covers ResNet-20, -32, -44, -56 (three stages, the first with 16 channels) and ResNet-18, -34, -50 with a
    3 x 3 stem (four stages, the first with 64 channels).

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    blocks, channels, bottleneck : as in :class:`ResNet`.
    padded : short cuts between stages take every second pixel and pad the channels with zeros (the paper's
        option A); otherwise they are 1 x 1 convolutions with batch norm (option B).
    """

    name: ClassVar[str] = "cifar_resnet"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        blocks: tuple[int, ...] = (3, 3, 3),
        channels: tuple[int, ...] = (16, 32, 64),
        bottleneck: bool = False,
        padded: bool = True,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU()
        kind = "pad" if padded else "shortcut"
        for i, stage in enumerate(stages(blocks, channels, bottleneck, kind, channels[0]), 1):
            self.add_module(f"layer{i}", stage)
        self.depth = len(blocks)
        self.linear = nn.Linear(channels[-1] * (4 if bottleneck else 1), classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        for i in range(1, self.depth + 1):
            x = self.get_submodule(f"layer{i}")(x)
        scores: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        options = stage_options(shapes, "linear")
        if options is None or "bn1.weight" not in shapes:
            return None
        return {**options, "padded": not any(".shortcut." in key for key in shapes)}
