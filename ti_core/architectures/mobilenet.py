"""MobileNetV2: M. Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes

STAGES = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""Expansion, channels and number of blocks of each stage."""

Widths = tuple[tuple[int, int], ...]
"""Expanded and final channels of each block."""


def widths_of(stages: tuple[tuple[int, int, int], ...] = STAGES, c_in: int = 32) -> Widths:
    """The channels of each block of the given stages."""
    widths = []
    for expansion, c_out, count in stages:
        for _ in range(count):
            widths.append((expansion * c_in, c_out))
            c_in = c_out
    return tuple(widths)


WIDTHS = widths_of()


def strides_of(widths: Widths, per_stage: tuple[int, ...]) -> list[int]:
    """Stride of each block. Only a stage's first block strides. A stage begins where the channels change."""
    strides, stage, before = [], 0, 0
    for _, c_out in widths:
        begins = c_out != before
        strides.append(per_stage[min(stage, len(per_stage) - 1)] if begins else 1)
        stage += begins
        before = c_out
    return strides


def _unit(c_in: int, c_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.ReLU6())


class InvertedResidual(nn.Module):
    """A 1 x 1 expansion, a 3 x 3 depthwise convolution and a 1 x 1 projection.

    The result is added to the input if the block keeps size and channels.
    """

    def __init__(self, c_in: int, wide: int, c_out: int, stride: int) -> None:
        super().__init__()
        expand = [_unit(c_in, wide, 1)] if wide != c_in else []
        self.conv = nn.Sequential(
            *expand,
            _unit(wide, wide, 3, stride, groups=wide),
            nn.Conv2d(wide, c_out, 1, bias=False),
            nn.BatchNorm2d(c_out),
        )
        self.use_res_connect = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv(x)
        return x + out if self.use_res_connect else out


class MobileNetV2(Architecture):
    """MobileNetV2 with torchvision's tensor names.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    stem, widths, last : channels of the first convolution, of each block, and of the last convolution.
    strides : strides of the first convolution and of the seven stages. The default is the paper's, for large
        images. The other variants are usual for small images.
    """

    name: ClassVar[str] = "mobilenet_v2"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple(
        {"strides": strides}
        for strides in (
            (2, 1, 2, 2, 2, 1, 2, 1),
            (1, 1, 1, 2, 2, 1, 2, 1),
            (1, 1, 2, 2, 2, 1, 2, 1),
            (1, 1, 1, 1, 2, 1, 2, 1),
        )
    )

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        stem: int = 32,
        widths: Widths = WIDTHS,
        last: int = 1280,
        strides: tuple[int, ...] = (2, 1, 2, 2, 2, 1, 2, 1),
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [_unit(in_channels, stem, 3, strides[0])]
        c_in = stem
        for (wide, c_out), stride in zip(widths, strides_of(widths, strides[1:]), strict=True):
            layers.append(InvertedResidual(c_in, wide, c_out, stride))
            c_in = c_out
        self.features = nn.Sequential(*layers, _unit(c_in, last, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(x).mean(dim=(2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem, head = shapes.get("features.0.0.weight"), shapes.get("classifier.1.weight")
        if stem is None or head is None:
            return None
        widths: list[tuple[int, int]] = []
        while (first := shapes.get(f"features.{len(widths) + 1}.conv.0.0.weight")) is not None:
            block = f"features.{len(widths) + 1}.conv"
            project = shapes.get(f"{block}.2.weight", ())
            # Without an expansion, place 1 holds the projection and place 2 the vector of a batch norm.
            if len(project) != 4:
                project = shapes[f"{block}.1.weight"]
            widths.append((first[0], project[0]))
        return {
            "in_channels": stem[1],
            "classes": head[0],
            "stem": stem[0],
            "widths": tuple(widths),
            "last": head[1],
        }


class CifarInvertedResidual(nn.Module):
    """The same block with other tensor names. Its short cut is a convolution where the channels change."""

    def __init__(self, c_in: int, wide: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, wide, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(wide)
        self.conv2 = nn.Conv2d(wide, wide, 3, stride=stride, padding=1, groups=wide, bias=False)
        self.bn2 = nn.BatchNorm2d(wide)
        self.conv3 = nn.Conv2d(wide, c_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.stride = stride
        convolves = stride == 1 and c_in != c_out
        self.shortcut = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), nn.BatchNorm2d(c_out))
            if convolves
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))))
        out: torch.Tensor = self.bn3(self.conv3(y))
        return out + self.shortcut(x) if self.stride == 1 else out


class CifarMobileNetV2(Architecture):
    """MobileNetV2 for small images, with the tensor names of the usual CIFAR repository.

    Parameters
    ----------
    in_channels, classes, stem, widths, last : as in :class:`MobileNetV2`.
    strides : strides of the first convolution and of the seven stages.
    """

    name: ClassVar[str] = "cifar_mobilenet_v2"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        stem: int = 32,
        widths: Widths = WIDTHS,
        last: int = 1280,
        strides: tuple[int, ...] = (1, 1, 1, 2, 2, 1, 2, 1),
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, stem, 3, stride=strides[0], padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        layers: list[nn.Module] = []
        c_in = stem
        for (wide, c_out), stride in zip(widths, strides_of(widths, strides[1:]), strict=True):
            layers.append(CifarInvertedResidual(c_in, wide, c_out, stride))
            c_in = c_out
        self.layers = nn.Sequential(*layers)
        self.conv2 = nn.Conv2d(c_in, last, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(last)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers(self.relu(self.bn1(self.conv1(x))))
        x = self.relu(self.bn2(self.conv2(x)))
        scores: torch.Tensor = self.linear(x.mean(dim=(2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem, head = shapes.get("conv1.weight"), shapes.get("linear.weight")
        if stem is None or head is None or "layers.0.conv3.weight" not in shapes:
            return None
        widths: list[tuple[int, int]] = []
        while (first := shapes.get(f"layers.{len(widths)}.conv1.weight")) is not None:
            widths.append((first[0], shapes[f"layers.{len(widths)}.conv3.weight"][0]))
        return {
            "in_channels": stem[1],
            "classes": head[0],
            "stem": stem[0],
            "widths": tuple(widths),
            "last": head[1],
        }
