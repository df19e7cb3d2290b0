"""Pooling over windows, and over whole images."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.operators.convolution import CONV
from ti_core.loading.onnx.registry import operator
from ti_core.loading.onnx.windows import Windows, windows

MAX: dict[int, Callable[..., Tensor]] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVERAGE: dict[int, Callable[..., Tensor]] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
GLOBAL_MAX: dict[int, Callable[..., Tensor]] = {
    1: F.adaptive_max_pool1d,
    2: F.adaptive_max_pool2d,
    3: F.adaptive_max_pool3d,
}


def _native(place: Windows) -> bool:
    """Whether PyTorch's own pooling functions support this padding."""
    fits = all(0 <= p <= k // 2 for p, k in zip(place.before, place.kernel, strict=True))
    return place.even and fits and max(place.beyond) <= 0


@operator("MaxPool", size=sizes.pool)
def max_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    storage_order: int = 0,
    strides: list[int] | None = None,
) -> Tensor:
    pool = MAX[x.ndim - 2]
    place = windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if _native(place):
        return pool(x, place.kernel, place.strides, place.before, place.dilations)
    lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
    padded = place.pad(x, lowest, beyond=True)
    return pool(padded, place.kernel, place.strides, 0, place.dilations)


@operator("AveragePool", size=sizes.pool)
def average_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    count_include_pad: int = 0,
    dilations: list[int] | None = None,
    kernel_shape: list[int],
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    place = windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    if _native(place) and max(place.dilations) == 1:
        return AVERAGE[x.ndim - 2](
            x, place.kernel, place.strides, place.before, count_include_pad=bool(count_include_pad)
        )
    # Cells that ceil mode adds are never counted. Cells of the padding are counted if the graph asks for it.
    ones = torch.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
    counted = F.pad(place.pad(ones, 1.0 if count_include_pad else 0.0), _beyond(place))
    return _sum_windows(place.pad(x, 0.0, beyond=True), place) / _sum_windows(counted, place)


@operator("LpPool", size=sizes.pool)
def lp_pool(
    x: Tensor,
    *,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: list[int] | None = None,
    kernel_shape: list[int],
    p: int = 2,
    pads: list[int] | None = None,
    strides: list[int] | None = None,
) -> Tensor:
    place = windows(x.shape[2:], kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)
    return _sum_windows(place.pad(x.abs() ** p, 0.0, beyond=True), place) ** (1.0 / p)


def _beyond(place: Windows) -> list[int]:
    return [n for b in reversed(place.beyond) for n in (0, b)]


def _sum_windows(x: Tensor, place: Windows) -> Tensor:
    """Sums over windows of the padded `x`, channel by channel."""
    n, channels = x.shape[:2]
    ones = torch.ones((1, 1, *place.kernel), dtype=x.dtype, device=x.device)
    each = x.reshape(n * channels, 1, *x.shape[2:])
    sums = CONV[x.ndim - 2](each, ones, None, place.strides, 0, place.dilations)
    return sums.reshape(n, channels, *sums.shape[2:])


@operator("GlobalAveragePool")
def global_average_pool(x: Tensor) -> Tensor:
    return x.mean(dim=tuple(range(2, x.ndim)), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(x: Tensor) -> Tensor:
    return GLOBAL_MAX[x.ndim - 2](x, 1)


@operator("GlobalLpPool")
def global_lp_pool(x: Tensor, *, p: int = 2) -> Tensor:
    flat = x.reshape(*x.shape[:2], prod(x.shape[2:]))
    norm: Tensor = torch.linalg.vector_norm(flat, ord=p, dim=2)
    return norm.reshape(*norm.shape, *[1] * (x.ndim - 2))
