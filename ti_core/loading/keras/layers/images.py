"""Layers that prepare images: scales, sizes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ti_core.loading.keras.layers.registry import Part, Weights, images_back, images_first, layer, spatial
from ti_core.loading.keras.options import Options, Pair


class Rescaling(Part):
    """``x * scale + offset``, one number for all or one for each entry of the last axis."""

    scale: Tensor
    offset: Tensor

    def __init__(self, scale: Sequence[float], offset: Sequence[float]) -> None:
        super().__init__()
        for name, values in (("scale", scale), ("offset", offset)):
            self.register_buffer(name, torch.tensor(values[0] if len(values) == 1 else values))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale + self.offset


@layer("Rescaling")
def _rescaling(options: Options, _: Weights) -> nn.Module:
    return Rescaling(options.numbers("scale", 1.0), options.numbers("offset", 0.0))


class Resized(Part):
    """Images of another size: of a given one, or so many times larger.

    Parameters
    ----------
    size, factor : one of the two.
    smooth : between pixels, instead of the nearest one.
    """

    def __init__(
        self, options: Options, size: Pair | None = None, factor: Pair = (1, 1), smooth: bool = True
    ) -> None:
        super().__init__()
        self.first, self.size, self.factor, self.smooth = options.channels_first, size, factor, smooth

    def _target(self, high: int, wide: int) -> Pair:
        return self.size or (high * self.factor[0], wide * self.factor[1])

    def numbers(self, *shapes: Sequence[int]) -> int:
        (shape,) = shapes
        sizes = spatial(shape, self.first)
        return (
            math.prod(shape)
            // max(math.prod(sizes), 1)
            * max(math.prod(self._target(*sizes)), math.prod(sizes))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = images_first(x, self.first)
        target = self._target(x.shape[2], x.shape[3])
        if self.smooth:
            y = F.interpolate(x, target, mode="bilinear", align_corners=False)
        else:
            y = F.interpolate(x, target, mode="nearest-exact")
        return images_back(y, self.first)


@layer("UpSampling2D")
def _upsampling(options: Options, _: Weights) -> nn.Module:
    way = options.choice("interpolation", ("nearest", "bilinear"), "nearest")
    return Resized(options, factor=options.pair("size", (2, 2)), smooth=way == "bilinear")


@layer("Resizing")
def _resizing(options: Options, _: Weights) -> nn.Module:
    way = options.choice("interpolation", ("nearest", "bilinear"), "bilinear")
    for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
        options.only(key, False)
    return Resized(options, (options.integer("height"), options.integer("width")), smooth=way == "bilinear")


class Centre(Part):
    """The middle of images.

    Parameters
    ----------
    size : height and width of what is kept.
    whole : only images of that size are taken.
    """

    def __init__(self, options: Options, size: Pair, whole: bool) -> None:
        super().__init__()
        self.first, self.size, self.whole = options.channels_first, size, whole

    def forward(self, x: Tensor) -> Tensor:
        x = images_first(x, self.first)
        spare = [x.shape[2] - self.size[0], x.shape[3] - self.size[1]]
        if min(spare) < 0 or (self.whole and max(spare) > 0):
            raise ValueError(
                f"it makes {self.size[0]} x {self.size[1]} of images of {x.shape[2]} x {x.shape[3]},"
                " which is not supported"
            )
        top, left = spare[0] // 2, spare[1] // 2
        return images_back(x[:, :, top : top + self.size[0], left : left + self.size[1]], self.first)


@layer("CenterCrop")
def _centre(options: Options, _: Weights) -> nn.Module:
    return Centre(options, (options.integer("height"), options.integer("width")), whole=False)


@layer("RandomCrop")
def _random_crop(options: Options, _: Weights) -> nn.Module:
    # On images of another size Keras scales before it cuts, in another way than other layers do.
    return Centre(options, (options.integer("height"), options.integer("width")), whole=True)
