"""Convolutions and dense layers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ti_core.errors import ModelFileError
from ti_core.loading.keras.layers.activations import activation
from ti_core.loading.keras.layers.registry import (
    Part,
    Weights,
    images_back,
    images_first,
    kernel_and_bias,
    layer,
    parameter,
    spatial,
)
from ti_core.loading.keras.options import Options, Pair
from ti_core.loading.onnx.windows import windows


def padding(options: Options) -> str:
    return options.choice("padding", ("valid", "same"), "valid")


class Convolution(Part):
    """Convolutions one after the other, then an activation.

    Parameters
    ----------
    kernels : for each convolution its weight ``O x I x h x w``, stride, dilation and number of groups.
    bias : of the last one, or None.
    """

    def __init__(
        self, options: Options, kernels: Sequence[tuple[Tensor, Pair, Pair, int]], bias: Tensor | None
    ) -> None:
        super().__init__()
        self.first = options.channels_first
        self.same = padding(options) == "same"
        self.convolutions = nn.ModuleList(
            _convolution(options, self.same, *kernel, bias if number == len(kernels) - 1 else None)
            for number, kernel in enumerate(kernels)
        )
        self.activation = activation(options)

    def numbers(self, *shapes: Sequence[int]) -> int:
        (shape,) = shapes
        high, wide = spatial(shape, self.first)
        most = 0
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            channels = max(convolution.in_channels, convolution.out_channels)
            reach = [(k - 1) * d if self.same else 0 for k, d in _window(convolution)]
            most = max(most, channels * (high + reach[0]) * (wide + reach[1]))
        return shape[0] * most

    def forward(self, x: Tensor) -> Tensor:
        x = images_first(x, self.first)
        for convolution in self.convolutions:
            assert isinstance(convolution, nn.Conv2d)
            x = convolution(self._padded(x, convolution))
        y: Tensor = self.activation(images_back(x, self.first))
        return y

    def _padded(self, x: Tensor, convolution: nn.Conv2d) -> Tensor:
        if not self.same or any(convolution.padding):
            return x
        kernel, strides, dilations = (convolution.kernel_size, convolution.stride, convolution.dilation)
        return windows(x.shape[2:], kernel, strides, dilations, None, "SAME_UPPER").pad(x, 0.0)


def _window(convolution: nn.Conv2d) -> list[tuple[int, int]]:
    return list(zip(convolution.kernel_size, convolution.dilation, strict=True))


def _convolution(
    options: Options,
    same: bool,
    weight: Tensor,
    stride: Pair,
    dilation: Pair,
    groups: int,
    bias: Tensor | None,
) -> nn.Conv2d:
    if weight.shape[0] % groups or (bias is not None and bias.shape != weight.shape[:1]):
        raise ModelFileError(f"{options.label} has weights that do not fit one another.")
    size = (weight.shape[2], weight.shape[3])
    sides = ((size[0] - 1) * dilation[0], (size[1] - 1) * dilation[1])
    # Where the padding is the same on both sides, and for every size of input, the convolution pads by itself.
    even = same and stride == (1, 1) and not any(n % 2 for n in sides)
    padding = (sides[0] // 2, sides[1] // 2) if even else (0, 0)
    with torch.device("meta"):
        made = nn.Conv2d(
            weight.shape[1] * groups,
            weight.shape[0],
            size,
            stride,
            padding,
            dilation,
            groups,
            bias is not None,
        )
    made.weight = parameter(weight)
    made.bias = None if bias is None else parameter(bias)
    return made


def _kernel(options: Options, weights: Weights, role: str) -> Tensor:
    """A kernel ``h x w x I x O`` of the size that the options say."""
    kernel = weights[role]
    if kernel.ndim != 4 or not kernel.numel() or tuple(kernel.shape[:2]) != options.pair("kernel_size"):
        raise ModelFileError(
            f"{options.label} has a kernel that does not have the size of its option kernel_size."
        )
    return kernel


def _depthwise(kernel: Tensor) -> Tensor:
    """``h x w x C x M`` as the weight of a convolution of C groups; the M results of a channel follow each other."""
    high, wide, channels, multiplier = kernel.shape
    return kernel.permute(2, 3, 0, 1).reshape(channels * multiplier, 1, high, wide)


@layer("Conv2D", "Convolution2D", trained=kernel_and_bias("kernel"), flips=True)
def _conv(options: Options, weights: Weights) -> nn.Module:
    kernel = _kernel(options, weights, "kernel").permute(3, 2, 0, 1)
    stride, dilation = options.pair("strides", (1, 1)), options.pair("dilation_rate", (1, 1))
    groups = options.integer("groups", 1)
    return Convolution(options, [(kernel, stride, dilation, groups)], weights.get("bias"))


@layer("DepthwiseConv2D", trained=kernel_and_bias("depthwise_kernel"), flips=True)
def _depthwise_conv(options: Options, weights: Weights) -> nn.Module:
    kernel = _kernel(options, weights, "depthwise_kernel")
    stride, dilation = options.pair("strides", (1, 1)), options.pair("dilation_rate", (1, 1))
    return Convolution(
        options, [(_depthwise(kernel), stride, dilation, kernel.shape[2])], weights.get("bias")
    )


@layer("SeparableConv2D", trained=kernel_and_bias("depthwise_kernel", "pointwise_kernel"), flips=True)
def _separable(options: Options, weights: Weights) -> nn.Module:
    kernel, points = _kernel(options, weights, "depthwise_kernel"), weights["pointwise_kernel"]
    stride, dilation = options.pair("strides", (1, 1)), options.pair("dilation_rate", (1, 1))
    if points.ndim != 4 or tuple(points.shape[:2]) != (1, 1):
        raise ModelFileError(f"{options.label} has a pointwise kernel that is not of 1 x 1.")
    one = (1, 1)
    return Convolution(
        options,
        [(_depthwise(kernel), stride, dilation, kernel.shape[2]), (points.permute(3, 2, 0, 1), one, one, 1)],
        weights.get("bias"),
    )


class Transposed(Part):
    """A convolution turned round: every number of the input puts a kernel into the output."""

    def __init__(self, options: Options, kernel: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.first = options.channels_first
        self.same = padding(options) == "same"
        self.stride = options.pair("strides", (1, 1))
        self.weight = parameter(kernel)
        self.bias = None if bias is None else parameter(bias)
        self.activation = activation(options)

    def _sides(self, high: int, wide: int) -> list[tuple[int, int]]:
        """For each axis, where the output begins in the whole of what the kernels put down, and its length."""
        found = []
        for size, stride, kernel in zip((high, wide), self.stride, self.weight.shape[2:], strict=True):
            beyond = max(kernel - stride, 0)
            found.append((beyond // 2, size * stride) if self.same else (0, size * stride + beyond))
        return found

    def numbers(self, *shapes: Sequence[int]) -> int:
        (shape,) = shapes
        sizes = spatial(shape, self.first)
        whole = [n * s + k for n, s, k in zip(sizes, self.stride, self.weight.shape[2:], strict=True)]
        return shape[0] * max(self.weight.shape[:2]) * math.prod(whole)

    def forward(self, x: Tensor) -> Tensor:
        x = images_first(x, self.first)
        (top, high), (left, wide) = self._sides(x.shape[2], x.shape[3])
        y = F.conv_transpose2d(x, self.weight, None, self.stride)
        y = F.pad(y, (0, max(left + wide - y.shape[3], 0), 0, max(top + high - y.shape[2], 0)))
        y = y[:, :, top : top + high, left : left + wide]
        if self.bias is not None:
            y = y + self.bias.view(1, -1, 1, 1)
        z: Tensor = self.activation(images_back(y, self.first))
        return z


@layer("Conv2DTranspose", "Deconvolution2D", trained=kernel_and_bias("kernel"), flips=True)
def _transposed(options: Options, weights: Weights) -> nn.Module:
    options.only("output_padding")
    options.only("dilation_rate", 1, [1, 1])
    return Transposed(options, _kernel(options, weights, "kernel").permute(3, 2, 0, 1), weights.get("bias"))


class Dense(Part):
    """A linear layer on the last axis, then an activation."""

    def __init__(self, options: Options, kernel: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        if kernel.ndim != 2 or not kernel.numel() or (bias is not None and bias.shape != kernel.shape[1:]):
            raise ModelFileError(f"{options.label} has weights that are not those of a dense layer.")
        with torch.device("meta"):
            self.linear = nn.Linear(kernel.shape[0], kernel.shape[1], bias is not None)
        self.linear.weight = parameter(kernel.T)
        if bias is not None:
            self.linear.bias = parameter(bias)
        self.activation = activation(options)

    def numbers(self, *shapes: Sequence[int]) -> int:
        (shape,) = shapes
        return math.prod(shape[:-1]) * max(shape[-1], self.linear.out_features)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.linear(x))
        return y


@layer("Dense", trained=kernel_and_bias("kernel"))
def _dense(options: Options, weights: Weights) -> nn.Module:
    return Dense(options, weights["kernel"], weights.get("bias"))
