"""Residual blocks and stages, with the tensor names of the common repositories."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from ti_core.architectures.base import Options, Shapes


class PadShortcut(nn.Module):
    """Short cut without weights: every ``stride``-th pixel, padded with zero channels (option A of He et al.)."""

    def __init__(self, extra: int, stride: int) -> None:
        super().__init__()
        self.extra, self.stride = extra, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        front = self.extra // 2
        thinned = x[:, :, :: self.stride, :: self.stride]
        return functional.pad(thinned, (0, 0, 0, 0, front, self.extra - front))


class Residual(nn.Module):
    """Residual block: a short cut beside two 3 x 3 convolutions or a bottleneck of three, with batch norm.

    Parameters
    ----------
    c_in, inner, stride : input channels, inner channels, stride of the 3 x 3 convolution.
    bottleneck : convolutions of 1 x 1, 3 x 3 and 1 x 1; the output has four times the inner channels.
    shortcut : "downsample" or "shortcut" names a 1 x 1 convolution with batch norm; "pad" pads with zeros.
    """

    def __init__(self, c_in: int, inner: int, stride: int, bottleneck: bool, shortcut: str) -> None:
        super().__init__()
        c_out = inner * (4 if bottleneck else 1)
        # torchvision and the CIFAR repositories both stride the 3 x 3 convolution of a bottleneck.
        self.conv1 = (
            nn.Conv2d(c_in, inner, 1, bias=False)
            if bottleneck
            else nn.Conv2d(c_in, inner, 3, stride=stride, padding=1, bias=False)
        )
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride if bottleneck else 1, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, c_out, 1, bias=False) if bottleneck else None
        self.bn3 = nn.BatchNorm2d(c_out) if bottleneck else None
        self.relu = nn.ReLU()
        self.name = "downsample" if shortcut == "downsample" else "shortcut"
        self.add_module(self.name, _shortcut(c_in, c_out, stride, shortcut))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.conv3 is not None and self.bn3 is not None:
            y = self.bn3(self.conv3(self.relu(y)))
        out: torch.Tensor = self.relu(y + self.get_submodule(self.name)(x))
        return out


def _shortcut(c_in: int, c_out: int, stride: int, kind: str) -> nn.Module:
    if stride == 1 and c_in == c_out:
        return nn.Identity()
    if kind == "pad":
        return PadShortcut(c_out - c_in, stride)
    return nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride=stride, bias=False), nn.BatchNorm2d(c_out))


def stages(
    blocks: tuple[int, ...], channels: tuple[int, ...], bottleneck: bool, shortcut: str, c_in: int
) -> Iterator[nn.Sequential]:
    """One ``Sequential`` of residual blocks per stage; every stage but the first halves the image."""
    for stage, (count, inner) in enumerate(zip(blocks, channels, strict=True)):
        layers = []
        for block in range(count):
            layers.append(Residual(c_in, inner, 2 if stage and not block else 1, bottleneck, shortcut))
            c_in = inner * (4 if bottleneck else 1)
        yield nn.Sequential(*layers)


def stage_options(shapes: Shapes, head: str) -> Options | None:
    """Options of a residual network from its tensors ``conv1``, ``layer1.0.conv1`` ... and ``head``, or None."""
    stem, last = shapes.get("conv1.weight"), shapes.get(f"{head}.weight")
    if (
        stem is None
        or last is None
        or len(stem) != 4
        or len(last) != 2
        or "layer1.0.conv1.weight" not in shapes
    ):
        return None
    blocks: list[int] = []
    while f"layer{len(blocks) + 1}.0.conv1.weight" in shapes:
        count = 1
        while f"layer{len(blocks) + 1}.{count}.conv1.weight" in shapes:
            count += 1
        blocks.append(count)
    return {
        "in_channels": stem[1],
        "classes": last[0],
        "blocks": tuple(blocks),
        "channels": tuple(shapes[f"layer{i + 1}.0.conv1.weight"][0] for i in range(len(blocks))),
        "bottleneck": "layer1.0.conv3.weight" in shapes,
    }
