"""A second implementation of the challenge's networks, saved under the class paths that its files carry."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F


def publish(monkeypatch: pytest.MonkeyPatch, **paths: type) -> None:
    """Give each class the full path that stands for it (with ``__`` for the dots), so that pickle writes it."""
    for path, cls in paths.items():
        module, _, name = path.replace("__", ".").rpartition(".")
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            package = ".".join(parts[:depth])
            if not hasattr(sys.modules.get(package), "made_here"):
                made = types.ModuleType(package)
                made.made_here = True  # type: ignore[attr-defined]
                monkeypatch.setitem(sys.modules, package, made)
        setattr(sys.modules[module], name, cls)
        # Not undone: pytest cannot restore a class's qualified name, and nothing else looks at it.
        cls.__module__, cls.__qualname__ = module, name


class MNISTNetwork(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(True)),
            *(nn.Conv2d(16, 32, 4, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU(True)),
            *(nn.Conv2d(32, 32, 4, padding=1, stride=2), nn.BatchNorm2d(32), nn.ReLU(True)),
            *(
                nn.Flatten(),
                nn.Linear(7 * 7 * 32, 128),
                nn.BatchNorm1d(128),
                nn.ReLU(True),
                nn.Linear(128, 10),
            ),
        )

    def forward(self, x: torch.Tensor) -> Any:
        return self.main(x)


class WRNBlock(nn.Module):
    def __init__(self, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.relu1 = nn.BatchNorm2d(a), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(a, b, 3, stride, 1, bias=False)
        self.bn2, self.relu2 = nn.BatchNorm2d(b), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(b, b, 3, 1, 1, bias=False)
        self.droprate, self.equalInOut = 0.3, a == b
        self.convShortcut = nn.Conv2d(a, b, 1, stride, bias=False) if a != b else None

    def forward(self, x: torch.Tensor) -> Any:
        first = self.relu1(self.bn1(x))
        out = F.dropout(self.relu2(self.bn2(self.conv1(first))), self.droprate, self.training)
        return self.conv2(out) + (x if self.convShortcut is None else self.convShortcut(first))


class WRNStage(nn.Module):
    def __init__(self, n: int, a: int, b: int, stride: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(*[WRNBlock(b if i else a, b, 1 if i else stride) for i in range(n)])

    def forward(self, x: torch.Tensor) -> Any:
        return self.layer(x)


class WRN(nn.Module):
    def __init__(self, depth: int, classes: int, k: int) -> None:
        super().__init__()
        n, w = (depth - 4) // 6, [16, 16 * k, 32 * k, 64 * k]
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.block1 = WRNStage(n, w[0], w[1], 1)
        self.block2 = WRNStage(n, w[1], w[2], 2)
        self.block3 = WRNStage(n, w[2], w[3], 2)
        self.bn1, self.relu = nn.BatchNorm2d(w[3]), nn.ReLU(inplace=True)
        self.fc = nn.Linear(w[3], classes)
        self.nChannels = w[3]

    def forward(self, x: torch.Tensor) -> Any:
        out = self.relu(self.bn1(self.block3(self.block2(self.block1(self.conv1(x))))))
        return self.fc(F.avg_pool2d(out, 8).view(-1, self.nChannels))


class VisionBlock(nn.Module):
    def __init__(self, a: int, b: int, stride: int, norm: type[nn.Module]) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), norm(b)
        self.relu = nn.ReLU(inplace=True)
        self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), norm(b)
        self.downsample = nn.Sequential(nn.Conv2d(a, b, 1, stride, bias=False), norm(b)) if a != b else None
        self.stride = stride

    def forward(self, x: torch.Tensor) -> Any:
        identity = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x))))) + identity)


class VisionResNet(nn.Module):
    """torchvision's ResNet with one block in each stage, and few channels."""

    def __init__(self) -> None:
        super().__init__()
        self._norm_layer = nn.BatchNorm2d
        self.inplanes, self.dilation, self.groups, self.base_width = 64, 1, 1, 64
        self.conv1, self.bn1 = nn.Conv2d(3, 8, 7, 2, 3, bias=False), nn.BatchNorm2d(8)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        widths = (8, 8, 16, 24, 32)
        for i in range(4):
            block = VisionBlock(widths[i], widths[i + 1], 2 if i else 1, nn.BatchNorm2d)
            setattr(self, f"layer{i + 1}", nn.Sequential(block))
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Recipe:
    """What older einops keeps beside a pattern."""

    def __init__(self) -> None:
        self.axes = {"p1": 1}


class Rearrange(nn.Module):
    def __init__(self, pattern: str, **axes: int) -> None:
        super().__init__()
        self.pattern, self.axes_lengths, self._recipe = pattern, axes, Recipe()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p = self.axes_lengths["p1"]
        parts = F.unfold(x, p, stride=p).transpose(1, 2)
        n, count, _ = parts.shape
        side = round(count**0.5)
        return parts.reshape(n, count, x.shape[1], p * p).transpose(2, 3).reshape(n, side, side, -1)


class ViTAttention(nn.Module):
    def __init__(self, dim: int, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, width**-0.5
        self.norm, self.attend = nn.LayerNorm(dim), nn.Softmax(dim=-1)
        self.to_qkv = nn.Linear(dim, heads * width * 3, bias=False)
        self.to_out = nn.Linear(heads * width, dim, bias=False)

    def forward(self, x: torch.Tensor) -> Any:
        n, t, _ = x.shape
        q, k, v = (
            y.view(n, t, self.heads, -1).transpose(1, 2) for y in self.to_qkv(self.norm(x)).chunk(3, -1)
        )
        return self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, -1))


class ViTFeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: torch.Tensor) -> Any:
        return self.net(x)


class ViTTransformer(nn.Module):
    def __init__(self, dim: int, depth: int, heads: int, width: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                nn.ModuleList([ViTAttention(dim, heads, width), ViTFeedForward(dim, hidden)])
                for _ in range(depth)
            ]
        )

    def forward(self, x: torch.Tensor) -> Any:
        for attention, forward in self.layers:  # type: ignore[misc]
            x = attention(x) + x
            x = forward(x) + x
        return x


class ViT(nn.Module):
    """SimpleViT as the challenge has it: no layer norm around the patches, one in the head."""

    def __init__(self, classes: int, dim: int, depth: int, heads: int, hidden: int, width: int = 64) -> None:
        super().__init__()
        self.to_patch_embedding = nn.Sequential(
            Rearrange("b c (h p1) (w p2) -> b h w (p1 p2 c)", p1=4, p2=4), nn.Linear(48, dim)
        )
        self.transformer = ViTTransformer(dim, depth, heads, width, hidden)
        self.to_latent = nn.Identity()
        self.linear_head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, img: torch.Tensor) -> Any:
        x = self.to_patch_embedding(img)
        _, h, w, dim = x.shape
        quarter = dim // 4
        table = torch.zeros(h * w, dim)
        for row in range(h):
            for column in range(w):
                for i in range(quarter):
                    omega = 1 / 10000 ** (i / (quarter - 1))
                    for block, angle in enumerate((column * omega, column * omega, row * omega, row * omega)):
                        value = torch.tensor(angle)
                        table[row * w + column, block * quarter + i] = (
                            value.cos() if block % 2 else value.sin()
                        )
        x = self.transformer(x.reshape(x.shape[0], -1, dim) + table)
        return self.linear_head(self.to_latent(x.mean(dim=1)))
