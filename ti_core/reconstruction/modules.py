"""The layers of a sketch as modules of torch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn


class Sketched(nn.Module):
    """A network that was built from a sketch.

    Parameters
    ----------
    parts : the layers in order.
    input_shape : (C, H, W) of the images, or None if the sketch does not say.
    """

    def __init__(self, parts: Sequence[nn.Module], input_shape: tuple[int, int, int] | None = None) -> None:
        super().__init__()
        self.parts = nn.Sequential(*parts)
        self.input_shape = input_shape

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.parts(x)
        return scores


class Sum(nn.Module):
    """The sum of two ways."""

    def __init__(self, main: Sequence[nn.Module], shortcut: Sequence[nn.Module]) -> None:
        super().__init__()
        self.main, self.shortcut = nn.Sequential(*main), nn.Sequential(*shortcut)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        both: torch.Tensor = self.main(x) + self.shortcut(x)
        return both


class Joined(nn.Module):
    """Several ways whose results stand behind one another."""

    def __init__(self, ways: Sequence[Sequence[nn.Module]]) -> None:
        super().__init__()
        self.ways = nn.ModuleList(nn.Sequential(*way) for way in ways)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([way(x) for way in self.ways], 1)


class PadChannels(nn.Module):
    """Every ``stride``-th pixel, with channels of zeros before and behind (He et al., 2016, option A)."""

    def __init__(self, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.channels, self.stride = channels, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x[:, :, :: self.stride, :: self.stride]
        missing = self.channels - x.shape[1]
        return F.pad(x, (0, 0, 0, 0, missing // 2, missing - missing // 2))


class Rescale(nn.Module):
    """``factor * x + offset``."""

    def __init__(self, factor: float, offset: float = 0.0) -> None:
        super().__init__()
        self.factor, self.offset = factor, offset

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.factor + self.offset


class Standardise(nn.Module):
    """``(x - mean) / std`` with numbers of the file."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.reshape(1, -1, 1, 1))
        self.register_buffer("std", std.reshape(1, -1, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std
