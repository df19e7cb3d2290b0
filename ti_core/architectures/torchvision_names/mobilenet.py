"""MobileNetV3 (A. Howard et al., "Searching for MobileNetV3", ICCV 2019), and MobileNetV2 with another head."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.mobilenet import MobileNetV2
from ti_core.architectures.torchvision_names.parts import (
    LINEAR,
    PLAIN,
    Head,
    SqueezeExcite,
    head_of,
    unit,
)
from ti_core.architectures.torchvision_names.parts import head as head_layers

Block = tuple[int, int, int, int]
"""Expanded and final channels, side of the kernel, and channels of the squeeze (0 if there is none)."""

_EPS = 1e-3
_STRIDES = {
    15: (2, 1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1),
    11: (2, 2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1),
}
"""Strides of the first convolution and of the blocks of the large and of the small network."""
_RELU = {15: 6, 11: 3}
"""Number of blocks with ReLU. The later ones have hard swish."""

SMALL: tuple[Block, ...] = (
    (16, 16, 3, 8),
    (72, 24, 3, 0),
    (88, 24, 3, 0),
    (96, 40, 5, 24),
    (240, 40, 5, 64),
    (240, 40, 5, 64),
    (120, 48, 5, 32),
    (144, 48, 5, 40),
    (288, 96, 5, 72),
    (576, 96, 5, 144),
    (576, 96, 5, 144),
)


class _Inverted(nn.Module):
    """Expansion, depthwise convolution, squeeze and excitation, projection; a short cut where the shape is kept."""

    def __init__(self, c_in: int, block: Block, stride: int, activation: type[nn.Module]) -> None:
        super().__init__()
        wide, c_out, kernel, squeezed = block
        layers: list[nn.Module] = []
        if wide != c_in:
            layers.append(unit(c_in, wide, 1, activation=activation, eps=_EPS))
        layers.append(unit(wide, wide, kernel, stride, wide, activation, _EPS))
        if squeezed:
            layers.append(SqueezeExcite(wide, squeezed, nn.ReLU, nn.Hardsigmoid))
        layers.append(unit(wide, c_out, 1, activation=None, eps=_EPS))
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x)
        return x + y if self.adds else y


class MobileNetV3(Architecture):
    """MobileNetV3, small (11 blocks) and large (15 blocks), of any width.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of the first convolution.
    blocks : see :data:`Block`.
    last : channels of the last convolution.
    head : layers of ``classifier``.
    stem : stride of the first convolution. "plain" is 1, which is usual for small images.
    """

    name: ClassVar[str] = "mobilenet_v3"
    VARIANTS: ClassVar[tuple[Options, ...]] = ({"stem": "usual"}, {"stem": "plain"})

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: int = 16,
        blocks: tuple[Block, ...] = SMALL,
        last: int = 576,
        head: Head = (("0", LINEAR, 1024), ("3", LINEAR, 0)),
        stem: str = "usual",
    ) -> None:
        super().__init__()
        first, *strides = _STRIDES[len(blocks)]
        first = 1 if stem == "plain" else first
        layers: list[nn.Module] = [unit(in_channels, channels, 3, first, 1, nn.Hardswish, _EPS)]
        for number, (block, stride) in enumerate(zip(blocks, strides, strict=True)):
            activation = nn.ReLU if number < _RELU[len(blocks)] else nn.Hardswish
            layers.append(_Inverted(channels, block, stride, activation))
            channels = block[1]
        self.features = nn.Sequential(*layers, unit(channels, last, 1, activation=nn.Hardswish, eps=_EPS))
        self.classifier = head_layers(head, last, classes, nn.Hardswish)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.classifier(self.features(x).mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("features.0.0.weight")
        if stem is None or "features.1.block.0.0.weight" not in shapes:
            return None
        layers, classes = head_of(shapes, "classifier")
        blocks: list[Block] = []
        while f"features.{len(blocks) + 1}.block.0.0.weight" in shapes:
            blocks.append(block_of(shapes, f"features.{len(blocks) + 1}.block"))
        return {
            "in_channels": stem[1],
            "classes": classes,
            "channels": stem[0],
            "blocks": tuple(blocks),
            "last": shapes[f"features.{len(blocks) + 1}.0.weight"][0],
            "head": layers,
        }


def block_of(shapes: Shapes, name: str) -> Block:
    """The widths of the inverted residual whose layers stand below ``name``."""
    depthwise = 0 if shapes[f"{name}.0.0.weight"][1] == 1 else 1
    squeezed = shapes.get(f"{name}.{depthwise + 1}.fc1.weight")
    wide, _, kernel, _ = shapes[f"{name}.{depthwise}.0.weight"]
    project = depthwise + (1 if squeezed is None else 2)
    return wide, shapes[f"{name}.{project}.0.weight"][0], kernel, squeezed[0] if squeezed else 0


class MobileNetV2Head(MobileNetV2):
    """MobileNetV2 whose last layer was replaced.

    Parameters
    ----------
    head : layers of ``classifier``.
    options : as in :class:`~ti_core.architectures.mobilenet.MobileNetV2`.
    """

    name: ClassVar[str] = "mobilenet_v2_head"

    def __init__(
        self, in_channels: int = 3, classes: int = 10, head: Head = PLAIN, last: int = 1280, **options: Any
    ) -> None:
        super().__init__(in_channels, classes, last=last, **options)
        self.add_module("classifier", head_layers(head, last, classes))

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        plain = super().infer({**shapes, "classifier.1.weight": (0, 0)})
        if plain is None or not plain["widths"]:
            return None
        layers, classes = head_of(shapes, "classifier")
        if layers == (("1", LINEAR, 0),):
            # With this head it is the architecture "mobilenet_v2".
            return None
        last = shapes.get(f"features.{len(plain['widths']) + 1}.0.weight")
        return None if last is None else {**plain, "last": last[0], "classes": classes, "head": layers}
