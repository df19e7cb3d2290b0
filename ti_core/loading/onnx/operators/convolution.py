"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator
from ti_core.loading.onnx.windows import Windows, pad_axes, windows

CONV: dict[int, Callable[..., Tensor]] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


@operator("Conv", size=sizes.conv)
def conv(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    convolve = CONV[x.ndim - 2]
    place = windows(x.shape[2:], w.shape[2:], strides, dilations, pads, auto_pad)
    if place.even and min(place.before) >= 0:
        return convolve(x, w, b, place.strides, place.before, place.dilations, group)
    if group == x.shape[1] > 1 and set(place.dilations) == {1} and min(*place.before, *place.after) >= 0:
        return convolve(x, _widened(w, place), b, place.strides, place.widest, 1, group)
    return convolve(place.pad(x, 0.0), w, b, place.strides, 0, place.dilations, group)


def _widened(w: Tensor, place: Windows) -> Tensor:
    """The kernels with zeros, so that with the wider padding on both sides they give the same.

    With a kernel for each channel this takes half as long as a padded copy of the maps; with others it takes longer.
    """
    ends = zip(place.before, place.after, place.widest, strict=True)
    return F.pad(w, [n for a, b, most in reversed(list(ends)) for n in (most - a, most - b)])


@operator("ConvTranspose", size=sizes.conv_transpose)
def conv_transpose(
    x: Tensor,
    w: Tensor,
    b: Tensor | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: list[int] | None = None,
    group: int = 1,
    kernel_shape: list[int] | None = None,
    output_padding: list[int] | None = None,
    output_shape: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    rank = x.ndim - 2
    convolve = TRANSPOSED[rank]
    place = windows(x.shape[2:], w.shape[2:], strides, dilations, pads, "NOTSET")
    extra = output_padding or [0] * rank
    before, after = list(place.before), list(place.after)
    if output_shape is not None or auto_pad in ("SAME_UPPER", "SAME_LOWER"):
        for i, n in enumerate(x.shape[2:]):
            wanted = output_shape[i - rank] if output_shape is not None else n * place.strides[i]
            reach = (place.kernel[i] - 1) * place.dilations[i] + 1
            total = (n - 1) * place.strides[i] + extra[i] + reach - wanted
            small, large = total // 2, total - total // 2
            before[i], after[i] = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    usual = all(0 <= e < max(s, d) for e, s, d in zip(extra, place.strides, place.dilations, strict=True))
    if before == after and min(before) >= 0 and usual:
        return convolve(x, w, b, place.strides, before, extra, group, place.dilations)
    # The bias is added after the crop, because cells outside every window hold the bias alone.
    y = convolve(x, w, None, place.strides, 0, 0, group, place.dilations)
    y = pad_axes(y, [-p for p in before], [e - p for e, p in zip(extra, after, strict=True)], 0.0)
    return y if b is None else y + b.reshape(-1, *[1] * rank)


@operator("Col2Im", lists=(1, 2), size=sizes.col2im)
def col2im(
    x: Tensor,
    image_shape: list[int],
    block_shape: list[int],
    *,
    dilations: list[int] | None = None,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    """Sum of overlapping blocks: a transposed convolution whose kernels each put one element of the block."""
    rank, cells = len(image_shape), prod(block_shape)
    place = windows(image_shape, block_shape, strides, dilations, pads, "NOTSET")
    if x.ndim != 3 or x.shape[2] != prod(place.counts) or x.shape[1] % cells:
        raise ValueError(f"its input of shape {list(x.shape)} does not hold the blocks of such an image")
    n, channels = x.shape[0], x.shape[1] // cells
    kernels = torch.eye(cells, dtype=x.dtype, device=x.device).reshape(cells, 1, *block_shape)
    blocks = x.reshape(n * channels, cells, *place.counts)
    y = TRANSPOSED[rank](blocks, kernels, None, place.strides, 0, 0, 1, place.dilations)
    missing = [
        size + after + before - have
        for size, before, after, have in zip(image_shape, place.before, place.after, y.shape[2:], strict=True)
    ]
    after = [more - end for more, end in zip(missing, place.after, strict=True)]
    return pad_axes(y, [-p for p in place.before], after, 0.0).reshape(n, channels, *image_shape)
