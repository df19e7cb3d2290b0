"""LeNet-5: Y. LeCun et al., "Gradient-based learning applied to document recognition", Proc. IEEE 1998."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import ACTIVATIONS, Architecture, Options, Shapes


class LeNet5(Architecture):
    """Two 5 x 5 convolutions, each followed by pooling, and three linear layers.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    channels : channels of the two convolutions; (6, 16) is the original.
    hidden : units of the two hidden linear layers; (120, 84) is the original.
    size, padding : side of the square input, padding of the first convolution (2 for 28 x 28, 0 for 32 x 32).
    pool : "max" or "avg".
    """

    name: ClassVar[str] = "lenet5"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple(
        {"activation": a, "pool": p}
        for a in ("relu", "tanh", "leaky_relu", "elu", "gelu", "silu")
        for p in ("max", "avg")
    )

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        channels: tuple[int, int] = (6, 16),
        hidden: tuple[int, int] = (120, 84),
        size: int = 28,
        padding: int = 2,
        activation: str = "relu",
        pool: str = "max",
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels[0], 5, padding=padding)
        self.conv2 = nn.Conv2d(channels[0], channels[1], 5)
        side = ((size + 2 * padding - 4) // 2 - 4) // 2
        self.fc1 = nn.Linear(channels[1] * side * side, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.fc3 = nn.Linear(hidden[1], classes)
        self.activation = ACTIVATIONS[activation]()
        self.pool: nn.Module = nn.MaxPool2d(2) if pool == "max" else nn.AvgPool2d(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.pool(self.activation(self.conv1(x)))
        x = self.pool(self.activation(self.conv2(x)))
        x = self.activation(self.fc1(torch.flatten(x, 1)))
        scores: torch.Tensor = self.fc3(self.activation(self.fc2(x)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        wanted = ("conv1.weight", "conv2.weight", "fc1.weight", "fc2.weight", "fc3.weight")
        if any(key not in shapes for key in wanted):
            return None
        conv1, conv2, fc1, fc2, fc3 = (shapes[key] for key in wanted)
        if len(conv1) != 4 or len(conv2) != 4 or any(len(s) != 2 for s in (fc1, fc2, fc3)):
            return None
        side = round((fc1[1] / conv2[0]) ** 0.5)
        size, padding = {4: (28, 0), 5: (28, 2) if conv1[1] == 1 else (32, 0), 6: (32, 2)}.get(side, (0, 0))
        if not size:
            return None
        return {
            "in_channels": conv1[1],
            "classes": fc3[0],
            "channels": (conv1[0], conv2[0]),
            "hidden": (fc1[0], fc2[0]),
            "size": size,
            "padding": padding,
        }
