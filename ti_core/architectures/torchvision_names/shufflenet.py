"""ShuffleNet V2: N. Ma et al., "ShuffleNet V2: guidelines for efficient CNN architecture design", ECCV 2018."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import PLAIN, Head, head_of, stem_of, unit
from ti_core.architectures.torchvision_names.parts import head as head_layers

_STAGES = (2, 3, 4)


class _Shuffled(nn.Module):
    """Two branches whose channels are interleaved. With stride 1 the first branch is half of the input itself."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        half = c_out // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(*_depthwise(c_in, stride), *unit(c_in, half, 1))
        inner = c_in if stride > 1 else half
        self.branch2 = nn.Sequential(*unit(inner, half, 1), *_depthwise(half, stride), *unit(half, half, 1))
        self.stride = stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, second = (x, x) if self.stride > 1 else x.chunk(2, 1)
        both = torch.stack((self.branch1(first), self.branch2(second)), 2)
        return both.flatten(1, 2)


def _depthwise(channels: int, stride: int) -> nn.Sequential:
    return unit(channels, channels, 3, stride, channels, None)


class ShuffleNetV2(Architecture):
    """ShuffleNet V2 of any width.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of the first convolution, of the three stages, and of the last convolution.
    blocks : blocks of each stage.
    head : layers of ``fc``.
    stem : see :func:`~ti_core.architectures.torchvision_names.parts.stem_of`.
    """

    name: ClassVar[str] = "shufflenet_v2"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple(
        {"stem": stem} for stem in ("usual", "stride", "pool", "plain")
    )

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: tuple[int, ...] = (24, 48, 96, 192, 1024),
        blocks: tuple[int, ...] = (4, 8, 4),
        head: Head = PLAIN,
        stem: str = "usual",
    ) -> None:
        super().__init__()
        stride, self.maxpool = stem_of(stem, 3, small=1)
        self.conv1 = unit(in_channels, channels[0], 3, stride)
        c_in = channels[0]
        for stage, count, c_out in zip(_STAGES, blocks, channels[1:4], strict=True):
            layers = [_Shuffled(c_in if not i else c_out, c_out, 1 if i else 2) for i in range(count)]
            self.add_module(f"stage{stage}", nn.Sequential(*layers))
            c_in = c_out
        self.conv5 = unit(c_in, channels[4], 1)
        self.fc = head_layers(head, channels[4], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.maxpool(self.conv1(x))
        for stage in _STAGES:
            x = self.get_submodule(f"stage{stage}")(x)
        scores: torch.Tensor = self.fc(self.conv5(x).mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("conv1.0.weight")
        if stem is None or "stage2.0.branch1.0.weight" not in shapes:
            return None
        layers, classes = head_of(shapes, "fc")
        blocks, widths = [], [stem[0]]
        for stage in _STAGES:
            count = 0
            while f"stage{stage}.{count}.branch2.0.weight" in shapes:
                count += 1
            blocks.append(count)
            widths.append(2 * shapes[f"stage{stage}.0.branch2.5.weight"][0])
        widths.append(shapes["conv5.0.weight"][0])
        return {
            "in_channels": stem[1],
            "classes": classes,
            "channels": tuple(widths),
            "blocks": tuple(blocks),
            "head": layers,
        }
