"""A multilayer perceptron on the flattened image."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import ACTIVATIONS, Architecture, Options, Shapes, activation_variants


class MLP(Architecture):
    """Hidden linear layers of the given widths between the flattened image and the class scores.

    Parameters
    ----------
    in_channels, size, classes : the input is ``in_channels x size x size``, the output one score per class.
    hidden : units of each hidden layer.
    norm : batch norm after every hidden layer.
    """

    name: ClassVar[str] = "mlp"
    VARIANTS: ClassVar[tuple[Options, ...]] = activation_variants("relu")

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 10,
        hidden: tuple[int, ...] = (64, 64),
        size: int = 28,
        norm: bool = False,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = in_channels * size * size
        for units in hidden:
            layers.append(nn.Linear(width, units))
            if norm:
                layers.append(nn.BatchNorm1d(units))
            layers.append(ACTIVATIONS[activation]())
            width = units
        self.layers = nn.Sequential(*layers, nn.Linear(width, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.layers(x)
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        linear = [
            (int(k.split(".")[1]), s) for k, s in shapes.items() if k.startswith("layers.") and len(s) == 2
        ]
        if not linear or len(shapes) > 40:
            return None
        rows = [shape for _, shape in sorted(linear)]
        inputs = rows[0][1]
        for channels in (1, 3):
            side = round((inputs / channels) ** 0.5)
            if side * side * channels == inputs:
                return {
                    "in_channels": channels,
                    "classes": rows[-1][0],
                    "hidden": tuple(r[0] for r in rows[:-1]),
                    "size": side,
                    "norm": any(k.endswith("running_mean") for k in shapes),
                }
        return None
