"""Small networks in the layouts that people write, whose files nobody registered, for ``benchmarks.rebuilt``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

_STEPS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": F.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "elu": F.elu,
    "gelu": F.gelu,
    "leaky": F.leaky_relu,
    "max": lambda x: F.max_pool2d(x, 2),
    "max3": lambda x: F.max_pool2d(x, 3, 2),
    "max31": lambda x: F.max_pool2d(x, 3, 2, 1),
    "avg": lambda x: F.avg_pool2d(x, 2),
    "mean": lambda x: x.mean((2, 3)),
    "flat": lambda x: x.flatten(1),
}
"""What stands in a forward pass and is no part of a network."""


class Steps(nn.Module):
    """Parts that are called in a row, with functions between them.

    Parameters
    ----------
    steps : names of parts and of functions, with spaces between them.
    """

    def __init__(self, steps: str, **parts: nn.Module) -> None:
        super().__init__()
        self.steps = steps
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for step in self.steps.split():
            x = getattr(self, step)(x) if step in self._modules else _STEPS[step](x)
        return x


class Basic(nn.Module):
    """Two convolutions with a shortcut beside them, and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        first, second = conv3(before, after, stride), conv3(after, after)
        self.left = nn.Sequential(first, nn.BatchNorm2d(after), nn.ReLU(), second, nn.BatchNorm2d(after))
        self.short = nn.Sequential()
        if stride != 1 or before != after:
            self.short = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(self.left(x) + self.short(x))


class Padded(nn.Module):
    """Two convolutions and a shortcut without weights: every second pixel, and channels of zeros."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.c1, self.b1 = conv3(before, after, stride), nn.BatchNorm2d(after)
        self.c2, self.b2 = conv3(after, after), nn.BatchNorm2d(after)
        self.more, self.stride = (after - before) // 2, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.b2(self.c2(F.relu(self.b1(self.c1(x)))))
        if self.stride != 1:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))
        return F.relu(y + x)


class Before(nn.Module):
    """Normalisation and ReLU before each convolution."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.n1, self.c1 = nn.BatchNorm2d(before), conv3(before, after, stride)
        self.n2, self.c2 = nn.BatchNorm2d(after), conv3(after, after)
        wanted = stride != 1 or before != after
        self.skip = nn.Conv2d(before, after, 1, stride, bias=False) if wanted else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.n1(x))
        z = x if self.skip is None else self.skip(y)
        out: torch.Tensor = self.c2(F.relu(self.n2(self.c1(y)))) + z
        return out


class Bottleneck(nn.Module):
    """Three convolutions, the middle one narrow."""

    def __init__(self, before: int, inner: int, stride: int) -> None:
        super().__init__()
        after = 4 * inner
        self.conv1, self.bn1 = nn.Conv2d(before, inner, 1, bias=False), nn.BatchNorm2d(inner)
        self.conv2, self.bn2 = conv3(inner, inner, stride), nn.BatchNorm2d(inner)
        self.conv3, self.bn3 = nn.Conv2d(inner, after, 1, bias=False), nn.BatchNorm2d(after)
        self.proj = None
        if stride != 1 or before != after:
            self.proj = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.proj is None else self.proj(x)))


class Single(nn.Module):
    """A convolution of stride 2 with normalisation and ReLU before it."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(before), conv3(before, after, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.conv1(F.relu(self.bn1(x)))
        return out


class Added(nn.Module):
    """A sequence of parts whose result is added to its input; the names below it are those of the sequence."""

    def __init__(self, *parts: nn.Module, last: bool = False) -> None:
        super().__init__()
        self.last = last
        for number, part in enumerate(parts):
            self.add_module(str(number), part)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for part in self.children():
            y = part(y)
        return F.relu(x + y) if self.last else x + y


class Dense(nn.Module):
    """A convolution with normalisation before it, whose result stands behind its input."""

    def __init__(self, before: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(before), conv3(before, growth)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([x, self.conv(F.relu(self.norm(x)))], 1)


class Standard(nn.Module):
    """A mean and a deviation that the network keeps."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4914, 0.4822, 0.4465]))
        self.register_buffer("std", torch.tensor([0.2, 0.2, 0.2]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean.view(1, 3, 1, 1)) / self.std.view(1, 3, 1, 1)


def conv3(before: int, after: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, 3, stride, 1, bias=False)


def features(widths: tuple[int, ...], norm: bool, act: Callable[[], nn.Module]) -> nn.Sequential:
    """Padded convolutions of 3 x 3 with an activation; 0 is a pooling."""
    parts: list[nn.Module] = []
    before = 3
    for width in widths:
        if width:
            parts += [
                nn.Conv2d(before, width, 3, padding=1),
                *([nn.BatchNorm2d(width)] if norm else []),
                act(),
            ]
            before = width
        else:
            parts.append(nn.MaxPool2d(2))
    return nn.Sequential(*parts)


def rows(*widths: int, act: Callable[[], nn.Module], norm: bool = False) -> nn.Sequential:
    """Linear layers with an activation between them."""
    parts: list[nn.Module] = []
    for before, after in pairwise(widths):
        parts.append(nn.Linear(before, after))
        if after != widths[-1]:
            parts += [nn.BatchNorm1d(after), act(), nn.Dropout(0.2)] if norm else [act()]
    return nn.Sequential(*parts)


def unit(before: int, after: int, pool: bool = False) -> nn.Sequential:
    more = [nn.MaxPool2d(2)] if pool else []
    return nn.Sequential(nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), *more)


def apart(before: int, after: int, stride: int) -> nn.Sequential:
    """A depthwise and a pointwise convolution."""
    depth = nn.Conv2d(before, before, 3, stride, 1, groups=before, bias=False)
    point = nn.Conv2d(before, after, 1, bias=False)
    normed = nn.BatchNorm2d(before), nn.ReLU(), point, nn.BatchNorm2d(after), nn.ReLU()
    return nn.Sequential(depth, *normed)


def stages(block: Any, first: int, *plans: tuple[int, int, int]) -> nn.Sequential:
    """Blocks in a row, of (channels behind it, stride, width given)."""
    parts: list[nn.Module] = []
    for after, stride, given in plans:
        parts.append(block(first, given, stride))
        first = after
    return nn.Sequential(*parts)


@dataclass(frozen=True)
class Layout:
    """A network that is trained, saved and reconstructed.

    Parameters
    ----------
    norm : the normalisation that it was trained under.
    """

    build: Callable[[], nn.Module]
    pack: str
    norm: str = "none"
    epochs: int = 2
    rate: float = 2e-3
