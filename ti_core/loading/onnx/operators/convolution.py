"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator
from ti_core.loading.onnx.windows import pad_axes, windows

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
    return convolve(place.pad(x, 0.0), w, b, place.strides, 0, place.dilations, group)


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
