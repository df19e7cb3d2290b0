"""Resizing images: Resize and its forerunner Upsample.

Source: the operator Resize of the ONNX specification. One axis is resized at a time. Every mode except nearest
neighbour is a weighted sum over the axis, with weights that do not depend on the pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx.operators.shape import axes_or_all
from ti_core.loading.onnx.registry import operator

MAX_WEIGHTS = 2**24
"""The largest number of weights for one axis, as for 4,096 pixels resized to 4,096."""
SMOOTH = {
    ("linear", 3): "linear",
    ("linear", 4): "bilinear",
    ("linear", 5): "trilinear",
    ("cubic", 4): "bicubic",
}


@dataclass(frozen=True)
class _Axis:
    """One axis to be resized: its lengths, its scale, and the ends of the region of interest on it."""

    dim: int
    before: int
    after: int
    scale: float
    start: float = 0.0
    end: float = 1.0


@dataclass(frozen=True)
class _Mode:
    interpolation: str = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False
    extrapolation: float = 0.0


def _upsampled(x: Tensor, scales: list[float], **_: Any) -> int:
    return _count(x, [_scaled(i, n, s) for i, (n, s) in enumerate(zip(x.shape, scales, strict=True))])


@operator("Upsample", 7, lists=(1,), size=_upsampled)
def upsample(x: Tensor, scales: list[float], *, mode: str = "nearest") -> Tensor:
    axes = [_scaled(i, n, s) for i, (n, s) in enumerate(zip(x.shape, scales, strict=True))]
    return _resize(x, axes, _Mode(mode, "asymmetric", "floor"))


operator("Resize", 10, lists=(1,), size=_upsampled)(upsample)


def _resized(
    x: Tensor,
    roi: list[float] | None = None,
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
    *,
    axes: list[int] | None = None,
    keep_aspect_ratio_policy: str = "stretch",
    **_: Any,
) -> int:
    return _count(x, _axes(x, scales, sizes, axes, keep_aspect_ratio_policy))


@operator("Resize", 11, lists=(1, 2, 3), size=_resized)
def resize(
    x: Tensor,
    roi: list[float] | None = None,
    scales: list[float] | None = None,
    sizes: list[int] | None = None,
    *,
    antialias: int = 0,
    axes: list[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
) -> Tensor:
    chosen = _axes(x, scales, sizes, axes, keep_aspect_ratio_policy)
    if roi and coordinate_transformation_mode == "tf_crop_and_resize":
        ends = roi[len(chosen) :]
        chosen = [
            _Axis(a.dim, a.before, a.after, a.scale, start, end)
            for a, start, end in zip(chosen, roi, ends, strict=False)
        ]
    how = _Mode(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(antialias),
        bool(exclude_outside),
        extrapolation_value,
    )
    return _resize(x, chosen, how)


def _axes(
    x: Tensor, scales: list[float] | None, sizes: list[int] | None, axes: list[int] | None, policy: str
) -> list[_Axis]:
    dims = axes_or_all(axes, x.ndim)
    if scales:
        return [_scaled(d, x.shape[d], s) for d, s in zip(dims, scales, strict=True)]
    if sizes:
        return _sized(x, dims, sizes, policy)
    raise ValueError("it gives neither scales nor sizes")


def _count(x: Tensor, axes: Sequence[_Axis]) -> int:
    """An upper bound on the numbers in any intermediate value. One axis is resized after the other."""
    shape = list(x.shape)
    for axis in axes:
        shape[axis.dim] = max(axis.before, axis.after)
    return prod(shape)


def _scaled(dim: int, length: int, scale: float) -> _Axis:
    if not scale > 0:
        raise ValueError("a scale is not above 0")
    return _Axis(dim, length, floor(length * scale), scale)


def _sized(x: Tensor, dims: Sequence[int], sizes: Sequence[int], policy: str) -> list[_Axis]:
    if len(sizes) != len(dims):
        raise ValueError("it gives a size for another number of axes")
    ratios = [n / x.shape[d] for d, n in zip(dims, sizes, strict=True)]
    if policy == "stretch":
        return [_Axis(d, x.shape[d], n, r) for d, n, r in zip(dims, sizes, ratios, strict=True)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [_Axis(d, x.shape[d], floor(x.shape[d] * ratio + 0.5), ratio) for d in dims]


def _resize(x: Tensor, axes: Sequence[_Axis], mode: _Mode) -> Tensor:
    crop = mode.coordinates == "tf_crop_and_resize"
    axes = [a for a in axes if crop or a.before != a.after or a.scale != 1]
    if not axes:
        return x
    if (native := _native(x, axes, mode)) is not None:
        return native
    for axis in axes:
        x = _resize_axis(x, axis, mode)
    return x


def _native(x: Tensor, axes: Sequence[_Axis], mode: _Mode) -> Tensor | None:
    """The result of PyTorch's own, faster interpolation if it computes the same, otherwise None."""
    exact = all(a.dim >= 2 and a.after >= 1 and a.after == a.before * a.scale for a in axes)
    if not exact or not x.is_floating_point() or mode.antialias:
        return None
    size = list(x.shape[2:])
    for axis in axes:
        size[axis.dim - 2] = axis.after
    if mode.interpolation == "nearest":
        floors = mode.coordinates == "asymmetric" and mode.rounding == "floor" and 3 <= x.ndim <= 5
        return F.interpolate(x, size=size) if floors else None
    name = SMOOTH.get((mode.interpolation, x.ndim))
    if name is None or (mode.interpolation == "cubic" and (mode.cubic != -0.75 or mode.exclude_outside)):
        return None
    if mode.coordinates == "align_corners":
        return F.interpolate(x, size=size, mode=name, align_corners=True)
    if mode.coordinates == "half_pixel" or (mode.coordinates == "pytorch_half_pixel" and min(size) > 1):
        return F.interpolate(x, size=size, mode=name, align_corners=False)
    return None


def _resize_axis(x: Tensor, axis: _Axis, mode: _Mode) -> Tensor:
    if axis.after * axis.before > MAX_WEIGHTS:
        raise ValueError(f"an axis of {axis.before:,} is to be resized to {axis.after:,}, which is too long")
    place = _sources(axis, mode.coordinates)
    if mode.interpolation == "nearest":
        y = x.index_select(axis.dim, _nearest(place, mode.rounding, axis.before).to(x.device))
    else:
        weights = _weights(place, axis, mode).to(x)
        y = (x.movedim(axis.dim, -1) @ weights.t()).movedim(-1, axis.dim)
    if mode.coordinates != "tf_crop_and_resize":
        return y
    outside = ((place < 0) | (place > axis.before - 1)).to(x.device)
    shape = [-1 if i == axis.dim else 1 for i in range(x.ndim)]
    return y.masked_fill(outside.reshape(shape), mode.extrapolation)


def _sources(axis: _Axis, coordinates: str) -> Tensor:
    """The position of each new element on the old axis."""
    i = torch.arange(axis.after, dtype=torch.float64, device="cpu")
    length = axis.scale * axis.before
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and length != 1):
        return (i + 0.5) / axis.scale - 0.5
    if coordinates == "pytorch_half_pixel":
        return torch.full_like(i, -0.5)
    if coordinates == "half_pixel_symmetric":
        return axis.before / 2 * (1 - axis.after / length) + (i + 0.5) / axis.scale - 0.5
    if coordinates == "asymmetric":
        return i / axis.scale
    if coordinates == "tf_half_pixel_for_nn":
        return (i + 0.5) / axis.scale
    if coordinates == "align_corners":
        return i * (axis.before - 1) / (length - 1) if length != 1 else torch.zeros_like(i)
    if coordinates == "tf_crop_and_resize":
        last, span = axis.before - 1, axis.end - axis.start
        inner = i * span * last / (length - 1) if length != 1 else torch.full_like(i, span * last / 2)
        return axis.start * last + inner
    raise NotImplementedError(f"the coordinates '{coordinates}' are not known")


def _nearest(place: Tensor, rounding: str, length: int) -> Tensor:
    rounded = {
        "round_prefer_floor": lambda: torch.ceil(place - 0.5),
        "round_prefer_ceil": lambda: torch.floor(place + 0.5),
        "floor": place.floor,
        "ceil": place.ceil,
    }[rounding]()
    return rounded.long().clamp(0, length - 1)


def _weights(place: Tensor, axis: _Axis, mode: _Mode) -> Tensor:
    """Weights ``new x old`` of the kernel around each place. Beyond the ends the border pixels are repeated."""
    if mode.interpolation not in ("linear", "cubic"):
        raise NotImplementedError(f"the interpolation '{mode.interpolation}' is not known")
    shrink = min(axis.scale, 1.0) if mode.antialias else 1.0
    reach = ceil((1 if mode.interpolation == "linear" else 2) / shrink)
    taps = place.floor().unsqueeze(1) + torch.arange(1 - reach, reach + 1, dtype=torch.float64)
    distance = ((taps - place.unsqueeze(1)) * shrink).abs()
    weights = (1 - distance).clamp(min=0) if mode.interpolation == "linear" else _cubic(distance, mode.cubic)
    if mode.exclude_outside:
        weights = weights * ((taps >= 0) & (taps < axis.before))
    if mode.antialias or mode.exclude_outside:
        weights = weights / weights.sum(1, keepdim=True)
    table = torch.zeros(len(place), axis.before, dtype=torch.float64)
    return table.scatter_add(1, taps.long().clamp(0, axis.before - 1), weights)


def _cubic(d: Tensor, a: float) -> Tensor:
    """The cubic kernel of R. Keys, "Cubic convolution interpolation for digital image processing", 1981."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((d - 5) * d + 8) * d * a - 4 * a
    return torch.where(d <= 1, near, torch.where(d < 2, far, torch.zeros_like(d)))
