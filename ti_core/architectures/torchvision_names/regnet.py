"""RegNet X and Y: I. Radosavovic et al., "Designing network design spaces", CVPR 2020."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import PLAIN, Head, SqueezeExcite, head_of, unit
from ti_core.architectures.torchvision_names.parts import head as head_layers


class _Block(nn.Module):
    """A bottleneck with a grouped 3 x 3 convolution and, in RegNet Y, squeeze and excitation."""

    def __init__(self, c_in: int, inner: int, c_out: int, groups: int, squeezed: int, stride: int) -> None:
        super().__init__()
        self.proj: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.proj = unit(c_in, c_out, 1, stride, activation=None)
        self.f = nn.Sequential()
        self.f.add_module("a", unit(c_in, inner, 1))
        self.f.add_module("b", unit(inner, inner, 3, stride, groups))
        if squeezed:
            self.f.add_module("se", SqueezeExcite(inner, squeezed))
        self.f.add_module("c", unit(inner, c_out, 1, activation=None))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = (self.proj(x) + self.f(x)).relu()
        return out


class RegNet(Architecture):
    """RegNet X and Y of any size.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of the first convolution.
    stages : number of blocks, inner and final channels, and groups of each stage.
    squeezed : channels of the squeeze of each block; empty for RegNet X.
    head : layers of ``fc``.
    stem : stride of the first convolution. "plain" is 1, which is usual for small images.
    """

    name: ClassVar[str] = "regnet"
    VARIANTS: ClassVar[tuple[Options, ...]] = ({"stem": "usual"}, {"stem": "plain"})

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        channels: int = 32,
        stages: tuple[tuple[int, int, int, int], ...] = (
            (1, 24, 24, 3),
            (1, 56, 56, 7),
            (4, 152, 152, 19),
            (7, 368, 368, 46),
        ),
        squeezed: tuple[int, ...] = (),
        head: Head = PLAIN,
        stem: str = "usual",
    ) -> None:
        super().__init__()
        self.stem = unit(in_channels, channels, 3, 1 if stem == "plain" else 2)
        self.trunk_output = nn.Sequential()
        squeezes = iter(squeezed)
        for stage, (count, inner, c_out, groups) in enumerate(stages, 1):
            blocks = nn.Sequential()
            for block in range(count):
                made = _Block(channels, inner, c_out, groups, next(squeezes, 0), 1 if block else 2)
                blocks.add_module(f"block{stage}-{block}", made)
                channels = c_out
            self.trunk_output.add_module(f"block{stage}", blocks)
        self.fc = head_layers(head, channels, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc(self.trunk_output(self.stem(x)).mean((2, 3)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("stem.0.weight")
        if stem is None or "trunk_output.block1.block1-0.f.a.0.weight" not in shapes:
            return None
        layers, classes = head_of(shapes, "fc")
        stages: list[tuple[int, int, int, int]] = []
        squeezed: list[int] = []
        while f"{_place(len(stages) + 1, 0)}.a.0.weight" in shapes:
            stage, count = len(stages) + 1, 0
            while f"{_place(stage, count)}.a.0.weight" in shapes:
                squeeze = shapes.get(f"{_place(stage, count)}.se.fc1.weight")
                squeezed += [squeeze[0]] if squeeze else []
                count += 1
            first = _place(stage, 0)
            inner, grouped, *_ = shapes[f"{first}.b.0.weight"]
            stages.append((count, inner, shapes[f"{first}.c.0.weight"][0], inner // grouped))
        return {
            "in_channels": stem[1],
            "classes": classes,
            "channels": stem[0],
            "stages": tuple(stages),
            "squeezed": tuple(squeezed),
            "head": layers,
        }


def _place(stage: int, block: int) -> str:
    return f"trunk_output.block{stage}.block{stage}-{block}.f"
