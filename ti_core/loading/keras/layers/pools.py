"""Pools over windows and over whole images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ti_core.loading.keras.layers.convolutions import padding
from ti_core.loading.keras.layers.registry import Part, Weights, images_back, images_first, layer, spatial
from ti_core.loading.keras.options import Options
from ti_core.loading.onnx.windows import windows


class Pool(Part):
    """The largest or the mean number of every window. Padding counts for neither."""

    def __init__(self, options: Options, largest: bool) -> None:
        super().__init__()
        self.largest = largest
        self.first = options.channels_first
        self.size = options.pair("pool_size", (2, 2))
        self.strides = options.pair("strides", self.size)
        self.same = padding(options) == "same"

    def numbers(self, *shapes: Sequence[int]) -> int:
        (shape,) = shapes
        high, wide = spatial(shape, self.first)
        reach = self.size if self.same else (0, 0)
        return math.prod(shape) // max(high * wide, 1) * (high + reach[0]) * (wide + reach[1])

    def forward(self, x: Tensor) -> Tensor:
        x = images_first(x, self.first)
        found = windows(
            x.shape[2:], self.size, self.strides, None, None, "SAME_UPPER" if self.same else "VALID"
        )
        if min(found.counts) < 1:
            raise ValueError(f"its windows are larger than the image of {x.shape[2]} x {x.shape[3]}")
        if self.largest:
            y = F.max_pool2d(found.pad(x, -math.inf), self.size, self.strides)
        else:
            y = F.avg_pool2d(found.pad(x, 0.0), self.size, self.strides)
            if any(found.before) or any(found.after):
                inside = found.pad(torch.ones_like(x[:1, :1]), 0.0)
                y = y / F.avg_pool2d(inside, self.size, self.strides)
        return images_back(y, self.first)


@layer("MaxPooling2D", "MaxPool2D")
def _max(options: Options, _: Weights) -> nn.Module:
    return Pool(options, largest=True)


@layer("AveragePooling2D", "AvgPool2D")
def _average(options: Options, _: Weights) -> nn.Module:
    return Pool(options, largest=False)


class WholePool(Part):
    """The largest or the mean number of every channel."""

    def __init__(self, options: Options, largest: bool) -> None:
        super().__init__()
        self.largest = largest
        self.axes = (2, 3) if options.channels_first else (1, 2)
        self.keep = options.flag("keepdims", False)

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise ValueError(f"it takes images, not values of the shape {tuple(x.shape[1:])}")
        return x.amax(self.axes, self.keep) if self.largest else x.mean(self.axes, self.keep)


@layer("GlobalMaxPooling2D", "GlobalMaxPool2D")
def _whole_max(options: Options, _: Weights) -> nn.Module:
    return WholePool(options, largest=True)


@layer("GlobalAveragePooling2D", "GlobalAvgPool2D")
def _whole_average(options: Options, _: Weights) -> nn.Module:
    return WholePool(options, largest=False)
