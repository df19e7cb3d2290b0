"""Parts that several of torchvision's families share, with its tensor names."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from ti_core.architectures.base import Options, Shapes

Head = tuple[tuple[str, str, int], ...]
"""Layers of a classifier head: place below the head's name, kind, and units. A linear layer with 0 units has K."""

PLAIN: Head = (("", "linear", 0),)
"""One linear layer."""

LINEAR, UNBIASED, BATCH_NORM, LAYER_NORM = "linear", "linear without bias", "batch norm", "layer norm"
_LINEAR = (LINEAR, UNBIASED)

STEMS: tuple[Options, ...] = tuple({"stem": s} for s in ("usual", "plain", "stride", "pool"))
"""Stride and pooling of the first convolution; see :func:`stem_of`."""


def stem_of(stem: str, kernel: int, small: int = 3) -> tuple[int, nn.Module]:
    """Stride of the first convolution, and the pooling after it.

    "usual": stride 2 and max-pooling, but neither where the kernel has at most ``small`` pixels a side. "plain":
    neither. "stride": stride 2 alone. "pool": max-pooling alone.
    """
    large = kernel > small
    stride = 2 if stem == "stride" or (stem == "usual" and large) else 1
    pooled = stem == "pool" or (stem == "usual" and large)
    return stride, nn.MaxPool2d(3, stride=2, padding=1) if pooled else nn.Identity()


def unit(
    c_in: int,
    c_out: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: Callable[[], nn.Module] | None = nn.ReLU,
    eps: float = 1e-5,
) -> nn.Sequential:
    """A convolution, batch norm, and an activation if there is one."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False)
    after = [] if activation is None else [activation()]
    return nn.Sequential(conv, nn.BatchNorm2d(c_out, eps=eps), *after)


class SqueezeExcite(nn.Module):
    """Scales every channel by a number in [0, 1] that is computed from the means of all channels."""

    def __init__(
        self,
        channels: int,
        squeezed: int,
        activation: Callable[[], nn.Module] = nn.ReLU,
        gate: Callable[[], nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.activation, self.gate = activation(), gate()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale: torch.Tensor = self.gate(self.fc2(self.activation(self.fc1(x.mean((2, 3), keepdim=True)))))
        return scale * x


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of ``N x C x H x W``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Chain(nn.Module):
    """Layers that stand at nested names and are applied one after the other."""

    def __init__(self, layers: list[tuple[str, nn.Module]]) -> None:
        super().__init__()
        self.order = tuple(path for path, _ in layers)
        for path, layer in layers:
            place: nn.Module = self
            *folders, last = path.split(".")
            for folder in folders:
                if folder not in place._modules:
                    place.add_module(folder, nn.Module())
                place = place.get_submodule(folder)
            place.add_module(last, layer)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for path in self.order:
            x = self.get_submodule(path)(x)
        return x


def head_of(shapes: Shapes, name: str) -> tuple[Head, int]:
    """The layers below ``name``, in the order of their numbers, and the class count.

    Raises
    ------
    LookupError : there are none, or the last one is not linear.
    """
    layers: list[tuple[str, str, int]] = []
    for key, shape in shapes.items():
        below, _, leaf = key.rpartition(".")
        if leaf != "weight" or not f"{below}.".startswith(f"{name}."):
            continue
        path = below[len(name) + 1 :]
        if len(shape) == 2:
            layers.append((path, LINEAR if f"{below}.bias" in shapes else UNBIASED, shape[0]))
        else:
            layers.append((path, BATCH_NORM if f"{below}.running_mean" in shapes else LAYER_NORM, 0))
    layers.sort(key=lambda layer: _in_order(layer[0]))
    path, kind, classes = layers[-1]
    if kind not in _LINEAR:
        raise LookupError(name)
    return (*layers[:-1], (path, kind, 0)), classes


def _in_order(path: str) -> list[tuple[bool, int, str]]:
    """A key that sorts numbers by their value, before names."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in path.split(".")]


def head(
    layers: Head, features: int, classes: int, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Module:
    """The layers of a head, with an activation between each two linear ones.

    The activation follows the norm after a linear layer, unless a number that is left out between the two shows that
    it stands there. Dropout has no effect in evaluation and is left out.
    """
    if len(layers) == 1 and not layers[0][0]:
        return _layer(layers[0], features, classes)
    made: list[tuple[str, nn.Module]] = []
    waiting = False
    for number, (path, kind, units) in enumerate(layers):
        if waiting and (kind in _LINEAR or _gap(layers[number - 1][0], path)):
            made.append((f"activation{number}", activation()))
            waiting = False
        made.append((path, _layer((path, kind, units), features, classes)))
        if kind in _LINEAR:
            features, waiting = units or classes, True
    return Chain(made)


def _layer(layer: tuple[str, str, int], features: int, classes: int) -> nn.Module:
    _, kind, units = layer
    if kind in _LINEAR:
        return nn.Linear(features, units or classes, bias=kind == LINEAR)
    return nn.BatchNorm1d(features) if kind == BATCH_NORM else nn.LayerNorm(features)


def _gap(first: str, second: str) -> bool:
    """Whether a number is left out between two places of one sequence."""
    (one, _, a), (other, _, b) = first.rpartition("."), second.rpartition(".")
    return one == other and a.isdecimal() and b.isdecimal() and int(b) > int(a) + 1
