"""Layers that move numbers without changing them, and layers that work in training only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from ti_core.loading.keras.layers.registry import (
    Part,
    Same,
    Weights,
    images_back,
    images_first,
    layer,
    spatial,
)
from ti_core.loading.keras.options import Options, Pair


class Flatten(Part):
    """All numbers of an image in one row, channels last."""

    def __init__(self, channels_first: bool) -> None:
        super().__init__()
        self.first = channels_first

    def forward(self, x: Tensor) -> Tensor:
        return (x.movedim(1, -1) if self.first and x.ndim > 2 else x).flatten(1) if x.ndim > 1 else x[:, None]


@layer("Flatten")
def _flatten(options: Options, _: Weights) -> nn.Module:
    return Flatten(options.channels_first)


class Reshape(Part):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), *self.shape)


@layer("Reshape")
def _reshape(options: Options, _: Weights) -> nn.Module:
    shape = options.integers("target_shape")
    if len(shape) > 7 or any(n < -1 or n == 0 for n in shape) or shape.count(-1) > 1:
        raise options.wrong("target_shape")
    return Reshape(shape)


class Permute(Part):
    def __init__(self, order: tuple[int, ...]) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, *self.order)


@layer("Permute")
def _permute(options: Options, _: Weights) -> nn.Module:
    order = options.integers("dims")
    if sorted(order) != list(range(1, len(order) + 1)):
        raise options.wrong("dims")
    return Permute(order)


class Borders(Part):
    """Zeros added at the edges of images, or pixels cut off there.

    Parameters
    ----------
    high, wide : what is added above and below, and left and right; negative where it is cut.
    """

    def __init__(self, options: Options, high: Pair, wide: Pair) -> None:
        super().__init__()
        self.label, self.first, self.high, self.wide = options.label, options.channels_first, high, wide

    def numbers(self, *shapes: Sequence[int]) -> int:
        (shape,) = shapes
        high, wide = spatial(shape, self.first)
        added = [max(sum(self.high), 0), max(sum(self.wide), 0)]
        return math.prod(shape) // max(high * wide, 1) * (high + added[0]) * (wide + added[1])

    def forward(self, x: Tensor) -> Tensor:
        x = images_first(x, self.first)
        if x.shape[2] + sum(self.high) < 1 or x.shape[3] + sum(self.wide) < 1:
            raise ValueError(f"it cuts more than an image of {x.shape[2]} x {x.shape[3]} has")
        return images_back(F.pad(x, (*self.wide, *self.high)), self.first)


@layer("ZeroPadding2D")
def _padding(options: Options, _: Weights) -> nn.Module:
    return Borders(options, *options.pairs("padding"))


@layer("Cropping2D")
def _cropping(options: Options, _: Weights) -> nn.Module:
    high, wide = options.pairs("cropping")
    return Borders(options, (-high[0], -high[1]), (-wide[0], -wide[1]))


@layer(
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "AlphaDropout",
    "GaussianDropout",
    "GaussianNoise",
    "ActivityRegularization",
    "Identity",
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomTranslation",
    "RandomShear",
    "RandomHeight",
    "RandomWidth",
    "RandomContrast",
    "RandomBrightness",
    "RandomColorJitter",
    "RandomColorDegeneration",
    "RandomGaussianBlur",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHue",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterization",
    "RandomSaturation",
    "RandomSharpness",
    "RandAugment",
    "AugMix",
    "CutMix",
    "MixUp",
)
def _same(_: Options, __: Weights) -> nn.Module:
    return Same()
