"""The table from Keras's layers to PyTorch modules; importing :mod:`ti_core.loading.keras.layers` fills it.

Modules compute on tensors in Keras's own layout (``N x H x W x C`` unless a layer says otherwise), so that axes,
reshapes and weights mean what the file says. A convolution turns the view for its own use, which copies nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ti_core.loading.keras.options import Options
from ti_core.loading.onnx.sizes import broadcast_shape

Weights = Mapping[str, Tensor]
Make = TypeVar("Make", bound=Callable[[Options, Weights], nn.Module])
Roles = Callable[[Options], Sequence[str]]


class Part(nn.Module):
    """The module of one layer. Its arguments are the layer's inputs."""

    def numbers(self, *shapes: Sequence[int]) -> int:
        """How many numbers the largest value has that the layer makes of inputs of these shapes."""
        return math.prod(broadcast_shape(shapes))


class Same(Part):
    """The input as it is: what a layer is that works in training only."""

    def forward(self, x: Tensor) -> Tensor:
        return x


@dataclass(frozen=True)
class Kind:
    """A layer that is known.

    Parameters
    ----------
    make : the module, from the options and the weights.
    trained, fixed : the names of its weights in Keras's order: those that training changes, then the others.
    flips : whether Theano, an early backend of Keras, stored the first weight turned round.
    """

    make: Callable[[Options, Weights], nn.Module]
    trained: Roles
    fixed: Roles
    flips: bool = False

    def roles(self, options: Options) -> list[str]:
        return [*self.trained(options), *self.fixed(options)]


KINDS: dict[str, Kind] = {}
"""Every known layer, by Keras's name of the class."""


def none(_: Options) -> Sequence[str]:
    """The weights of a layer that has none."""
    return ()


def layer(
    *names: str, trained: Roles = none, fixed: Roles = none, flips: bool = False
) -> Callable[[Make], Make]:
    """Enter a layer into the table under these names."""

    def enter(make: Make) -> Make:
        for name in names:
            KINDS[name] = Kind(make, trained, fixed, flips)
        return make

    return enter


def kernel_and_bias(*kernels: str) -> Roles:
    """The weights of a layer with these kernels and, as its option ``use_bias`` says, a bias."""
    return lambda options: [*kernels, *(["bias"] if options.flag("use_bias", True) else [])]


def images_first(x: Tensor, channels_first: bool) -> Tensor:
    """A view of images as torch's layers take them, ``N x C x H x W``."""
    if x.ndim != 4:
        raise ValueError(f"it takes images, not values of the shape {tuple(x.shape[1:])}")
    return x if channels_first else x.permute(0, 3, 1, 2)


def images_back(x: Tensor, channels_first: bool) -> Tensor:
    """The view undone."""
    return x if channels_first else x.permute(0, 2, 3, 1)


def spatial(shape: Sequence[int], channels_first: bool) -> tuple[int, int]:
    """Height and width of images of this shape."""
    if len(shape) != 4:
        return 1, 1
    return (shape[2], shape[3]) if channels_first else (shape[1], shape[2])


def parameter(value: Any) -> nn.Parameter:
    """A weight as a parameter in one piece that requires no gradient."""
    tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float32)
    return nn.Parameter(tensor.contiguous(), requires_grad=False)
