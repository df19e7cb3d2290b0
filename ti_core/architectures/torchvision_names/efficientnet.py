"""EfficientNet: M. Tan, Q. Le, "EfficientNet", ICML 2019, and "EfficientNetV2", ICML 2021."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.inverted import (
    Block,
    Gates,
    Residual,
    block_of,
    first_unit,
    inverted,
)
from ti_core.architectures.torchvision_names.parts import LINEAR, Head, head_of, unit
from ti_core.architectures.torchvision_names.parts import head as head_layers

_STRIDES = (1, 2, 2, 2, 1, 2, 1)
"""Stride of each stage, in both versions; the smallest network of version 2 has only six."""
_FUSED = -1
"""Channels of the squeeze of a block whose first convolution is not split into 1 x 1 and depthwise."""
_WIDE = 2048
"""Last channels of EfficientNet-B5. From it on, and in version 2, batch norm has another constant."""

_GATES: Gates = (nn.SiLU, nn.Sigmoid)

Stages = tuple[tuple[Block, ...], ...]


def _b0() -> Stages:
    table = (
        (1, 16, 1, 3),
        (6, 24, 2, 3),
        (6, 40, 2, 5),
        (6, 80, 3, 3),
        (6, 112, 3, 5),
        (6, 192, 4, 5),
        (6, 320, 1, 3),
    )
    c_in, stages = 32, []
    for expansion, c_out, count, kernel in table:
        stage: list[Block] = []
        for _ in range(count):
            stage.append((expansion * c_in, c_out, kernel, c_in // 4))
            c_in = c_out
        stages.append(tuple(stage))
    return tuple(stages)


def _residual(c_in: int, block: Block, stride: int, eps: float) -> Residual:
    """An inverted residual with SiLU, or its fused form."""
    wide, c_out, kernel, squeezed = block
    if squeezed != _FUSED:
        return inverted(c_in, block, stride, nn.SiLU, _GATES, eps)
    layers = [unit(c_in, wide, kernel, stride, 1, nn.SiLU, eps)]
    if wide != c_in:
        layers.append(unit(wide, c_out, 1, activation=None, eps=eps))
    return Residual(layers, c_in, c_out, stride)


class EfficientNet(Architecture):
    """EfficientNet-B0 to -B7 and EfficientNetV2.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of the first convolution.
    stages : the blocks of each stage; a fused block has -1 for its squeeze.
    last : channels of the last convolution.
    head : layers of ``classifier``.
    stem : stride of the first convolution. "plain" is 1, which is usual for small images.
    """

    name: ClassVar[str] = "efficientnet"
    VARIANTS: ClassVar[tuple[Options, ...]] = ({"stem": "usual"}, {"stem": "plain"})

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: int = 32,
        stages: Stages | None = None,
        last: int = 1280,
        head: Head = (("1", LINEAR, 0),),
        stem: str = "usual",
    ) -> None:
        super().__init__()
        made = _b0() if stages is None else stages
        fused = any(block[3] == _FUSED for stage in made for block in stage)
        eps = 1e-3 if fused or last >= _WIDE else 1e-5
        layers: list[nn.Module] = [first_unit(in_channels, channels, stem, nn.SiLU, eps)]
        for stage, stride in zip(made, _STRIDES, strict=False):
            blocks = []
            for number, block in enumerate(stage):
                blocks.append(_residual(channels, block, 1 if number else stride, eps))
                channels = block[1]
            layers.append(nn.Sequential(*blocks))
        self.features = nn.Sequential(*layers, unit(channels, last, 1, activation=nn.SiLU, eps=eps))
        self.classifier = head_layers(head, last, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("features.0.0.weight")
        if stem is None or "features.1.0.block.0.0.weight" not in shapes:
            return None
        layers, classes = head_of(shapes, "classifier")
        stages: list[tuple[Block, ...]] = []
        while f"features.{len(stages) + 1}.0.block.0.0.weight" in shapes:
            stage = f"features.{len(stages) + 1}"
            blocks: list[Block] = []
            while f"{stage}.{len(blocks)}.block.0.0.weight" in shapes:
                blocks.append(_block(shapes, f"{stage}.{len(blocks)}.block"))
            stages.append(tuple(blocks))
        return {
            "in_channels": stem[1],
            "classes": classes,
            "channels": stem[0],
            "stages": tuple(stages),
            "last": shapes[f"features.{len(stages) + 1}.0.weight"][0],
            "head": layers,
        }


def _block(shapes: Shapes, name: str) -> Block:
    wide, groups, kernel, _ = shapes[f"{name}.0.0.weight"]
    if kernel == 1 or groups == 1:
        return block_of(shapes, name)
    project = shapes.get(f"{name}.1.0.weight")
    return wide, wide if project is None else project[0], kernel, _FUSED
