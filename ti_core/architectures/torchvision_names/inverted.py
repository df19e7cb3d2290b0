"""Inverted residuals, of which MobileNetV3 and EfficientNet consist."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from ti_core.architectures.base import Shapes
from ti_core.architectures.torchvision_names.parts import SqueezeExcite, unit

Block = tuple[int, int, int, int]
"""Expanded and final channels, side of the kernel, and channels of the squeeze (0 if there is none)."""

Gates = tuple[Callable[[], nn.Module], Callable[[], nn.Module]]
"""The two activations of squeeze and excitation."""


class Residual(nn.Module):
    """Layers whose input is added to their output where the shape is kept."""

    def __init__(self, layers: Sequence[nn.Module], c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and c_in == c_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x)
        return x + y if self.adds else y


def inverted(
    c_in: int, block: Block, stride: int, activation: type[nn.Module], gates: Gates, eps: float
) -> Residual:
    """Expansion, depthwise convolution, squeeze and excitation, projection."""
    wide, c_out, kernel, squeezed = block
    layers: list[nn.Module] = []
    if wide != c_in:
        layers.append(unit(c_in, wide, 1, activation=activation, eps=eps))
    layers.append(unit(wide, wide, kernel, stride, wide, activation, eps))
    if squeezed:
        layers.append(SqueezeExcite(wide, squeezed, *gates))
    layers.append(unit(wide, c_out, 1, activation=None, eps=eps))
    return Residual(layers, c_in, c_out, stride)


def first_unit(
    in_channels: int, channels: int, stem: str, activation: type[nn.Module], eps: float
) -> nn.Sequential:
    """The first convolution: stride 2, or 1 where ``stem`` is "plain"."""
    return unit(in_channels, channels, 3, 1 if stem == "plain" else 2, 1, activation, eps)


def block_of(shapes: Shapes, name: str) -> Block:
    """The widths of the inverted residual whose layers stand below ``name``."""
    depthwise = 0 if shapes[f"{name}.0.0.weight"][1] == 1 else 1
    squeezed = shapes.get(f"{name}.{depthwise + 1}.fc1.weight")
    wide, _, kernel, _ = shapes[f"{name}.{depthwise}.0.weight"]
    project = depthwise + (1 if squeezed is None else 2)
    return wide, shapes[f"{name}.{project}.0.weight"][0], kernel, squeezed[0] if squeezed else 0
