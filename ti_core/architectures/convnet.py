"""A plain VGG-style network: 3 x 3 convolutions, max-pooling, a linear head."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import ACTIVATIONS, Architecture, Options, Shapes, activation_variants


class ConvNet(Architecture):
    """Stages of 3 x 3 convolutions. Each stage ends with 2 x 2 max-pooling.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of each stage.
    depth : convolutions in each stage.
    hidden : units of a hidden linear layer, 0 for none.
    size : side of the square input; only the head with ``pool="flatten"`` depends on it.
    pool : "flatten", or "mean" for global average pooling.
    norm : batch norm after every convolution.
    """

    name: ClassVar[str] = "convnet"
    VARIANTS: ClassVar[tuple[Options, ...]] = activation_variants("relu")

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        channels: tuple[int, ...] = (16, 32),
        depth: int = 1,
        hidden: int = 0,
        size: int = 28,
        pool: str = "flatten",
        norm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]
        stages: list[nn.Module] = []
        c_in = in_channels
        for c_out in channels:
            layers: list[nn.Module] = []
            for _ in range(depth):
                layers.append(nn.Conv2d(c_in, c_out, 3, padding=1, bias=not norm))
                layers += [nn.BatchNorm2d(c_out), act()] if norm else [act()]
                c_in = c_out
            stages.append(nn.Sequential(*layers, nn.MaxPool2d(2)))
        self.stages = nn.Sequential(*stages)
        self.pool: nn.Module = nn.AdaptiveAvgPool2d(1) if pool == "mean" else nn.Identity()
        features = c_in if pool == "mean" else c_in * (size // 2 ** len(channels)) ** 2
        self.head = nn.Sequential(
            *([nn.Linear(features, hidden), act()] if hidden else []), nn.Linear(hidden or features, classes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(torch.flatten(self.pool(self.stages(x)), 1))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        first = shapes.get("stages.0.0.weight")
        if first is None or len(first) != 4 or "head.0.weight" not in shapes:
            return None
        norm = "stages.0.1.running_mean" in shapes
        step = 3 if norm else 2
        stage_count = 1 + max(int(k.split(".")[1]) for k in shapes if k.startswith("stages."))
        channels = tuple(shapes.get(f"stages.{s}.0.weight", (0,))[0] for s in range(stage_count))
        depth = sum(f"stages.0.{step * d}.weight" in shapes for d in range(8))
        head = shapes["head.0.weight"]
        last = shapes.get("head.2.weight", head)
        side = round((head[1] / channels[-1]) ** 0.5) if channels[-1] else 0
        return {
            "in_channels": first[1],
            "classes": last[0],
            "channels": channels,
            "depth": depth,
            "hidden": head[0] if "head.2.weight" in shapes else 0,
            "size": 32 if side << stage_count == 32 else 28,
            "pool": "mean" if side == 1 else "flatten",
            "norm": norm,
        }
