"""The MNIST network of the Trojan Detection Challenge 2022 (227,338 parameters at full width)."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import ACTIVATIONS, Architecture, Options, Shapes, activation_variants


class ChallengeMNIST(Architecture):
    """Three convolutions and two linear layers, with or without batch norm.

    The first convolution has kernel 3. The other two have kernel 4 and stride 2. All have padding 1.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    width : channels of the first convolution; the challenge has 16.
    hidden : units of the first linear layer; the challenge has 128.
    size : side of the square input image, a multiple of 4.
    norm : batch norm after every layer but the last.
    """

    name: ClassVar[str] = "challenge_mnist"
    VARIANTS: ClassVar[tuple[Options, ...]] = activation_variants("relu")

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        width: int = 16,
        hidden: int = 128,
        size: int = 28,
        norm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        act = ACTIVATIONS[activation]

        def conv(c_in: int, c_out: int, kernel: int, stride: int) -> list[nn.Module]:
            layers: list[nn.Module] = [nn.Conv2d(c_in, c_out, kernel, padding=1, stride=stride)]
            return [*layers, nn.BatchNorm2d(c_out), act()] if norm else [*layers, act()]

        features = 2 * width * (size // 4) ** 2
        self.main = nn.Sequential(
            *conv(in_channels, width, 3, 1),
            *conv(width, 2 * width, 4, 2),
            *conv(2 * width, 2 * width, 4, 2),
            nn.Flatten(),
            nn.Linear(features, hidden),
            *([nn.BatchNorm1d(hidden)] if norm else []),
            act(),
            nn.Linear(hidden, classes),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.main(x)
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        first = shapes.get("main.0.weight")
        if first is None or len(first) != 4:
            return None
        norm = "main.1.running_mean" in shapes
        dense, last = (
            shapes.get(f"main.{10 if norm else 7}.weight"),
            shapes.get(f"main.{13 if norm else 9}.weight"),
        )
        if dense is None or last is None or len(dense) != 2 or len(last) != 2:
            return None
        size = round((dense[1] / (2 * first[0])) ** 0.5) * 4
        return {
            "in_channels": first[1],
            "classes": last[0],
            "width": first[0],
            "hidden": dense[0],
            "size": size,
            "norm": norm,
        }
