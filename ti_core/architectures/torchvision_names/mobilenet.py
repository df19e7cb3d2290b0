"""MobileNetV3 (A. Howard et al., "Searching for MobileNetV3", ICCV 2019), and MobileNetV2 with another head."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.mobilenet import MobileNetV2
from ti_core.architectures.torchvision_names.inverted import Block, Gates, block_of, first_unit, inverted
from ti_core.architectures.torchvision_names.parts import LINEAR, PLAIN, Head, head_of, unit
from ti_core.architectures.torchvision_names.parts import head as head_layers

_EPS = 1e-3
_STRIDES = {
    15: (1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1),
    11: (2, 2, 1, 2, 1, 1, 1, 1, 2, 1, 1),
}
"""Strides of the blocks of the large and of the small network."""
_RELU = {15: 6, 11: 3}
"""Number of blocks with ReLU. The later ones have hard swish."""
_GATES: Gates = (nn.ReLU, nn.Hardsigmoid)

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
        layers: list[nn.Module] = [first_unit(in_channels, channels, stem, nn.Hardswish, _EPS)]
        for number, (block, stride) in enumerate(zip(blocks, _STRIDES[len(blocks)], strict=True)):
            activation = nn.ReLU if number < _RELU[len(blocks)] else nn.Hardswish
            layers.append(inverted(channels, block, stride, activation, _GATES, _EPS))
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
