"""ConvNeXt: Z. Liu et al., "A ConvNet for the 2020s", CVPR 2022."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import LINEAR, ChannelNorm, Head, head_of
from ti_core.architectures.torchvision_names.parts import head as head_layers

_EPS = 1e-6


class _Block(nn.Module):
    """A depthwise convolution and a perceptron over the channels, scaled and added to the input."""

    def __init__(self, channels: int, kernel: int, wide: int) -> None:
        super().__init__()
        self.layer_scale = nn.Parameter(torch.full((channels, 1, 1), 1e-6))
        self.block = nn.Sequential(
            nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels),
            nn.Identity(),
            nn.LayerNorm(channels, eps=_EPS),
            nn.Linear(channels, wide),
            nn.GELU(),
            nn.Linear(wide, channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block[1:](self.block[0](x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        out: torch.Tensor = x + self.layer_scale * y
        return out


class ConvNeXt(Architecture):
    """ConvNeXt of any size.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels, blocks : channels and number of blocks of each stage.
    patch : side and stride of the first convolution.
    kernel : side of the depthwise convolutions.
    head : layers of ``classifier`` after its norm.
    """

    name: ClassVar[str] = "convnext"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: tuple[int, ...] = (96, 192, 384, 768),
        blocks: tuple[int, ...] = (3, 3, 9, 3),
        patch: int = 4,
        kernel: int = 7,
        head: Head = (("2", LINEAR, 0),),
    ) -> None:
        super().__init__()
        first = channels[0]
        layers: list[nn.Module] = [
            nn.Sequential(nn.Conv2d(in_channels, first, patch, patch), ChannelNorm(first, eps=_EPS))
        ]
        for stage, (width, count) in enumerate(zip(channels, blocks, strict=True)):
            if stage:
                before = channels[stage - 1]
                layers.append(nn.Sequential(ChannelNorm(before, eps=_EPS), nn.Conv2d(before, width, 2, 2)))
            layers.append(nn.Sequential(*(_Block(width, kernel, 4 * width) for _ in range(count))))
        self.features = nn.Sequential(*layers)
        self.classifier = head_layers(head, channels[-1], classes)
        self.classifier.add_module("0", ChannelNorm(channels[-1], eps=_EPS))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.classifier.get_submodule("0")(self.features(x).mean((2, 3), keepdim=True))
        scores: torch.Tensor = self.classifier(x.flatten(1))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("features.0.0.weight")
        if stem is None or "features.1.0.layer_scale" not in shapes:
            return None
        layers, classes = head_of(shapes, "classifier")
        channels: list[int] = []
        blocks: list[int] = []
        while f"features.{2 * len(blocks) + 1}.0.block.0.weight" in shapes:
            stage, count = f"features.{2 * len(blocks) + 1}", 0
            while f"{stage}.{count}.block.0.weight" in shapes:
                count += 1
            channels.append(shapes[f"{stage}.0.block.0.weight"][0])
            blocks.append(count)
        return {
            "in_channels": stem[1],
            "classes": classes,
            "channels": tuple(channels),
            "blocks": tuple(blocks),
            "patch": stem[2],
            "kernel": shapes["features.1.0.block.0.weight"][2],
            "head": tuple(layer for layer in layers if layer[0] != "0"),
        }
