"""Padding in every mode, and cropping."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.operators.shape import axes_or_all
from ti_core.loading.onnx.registry import operator
from ti_core.loading.onnx.windows import pad_axes

NATIVE = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@operator("Pad", 1, size=sizes.pad)
def pad_by_attribute(x: Tensor, *, pads: list[int], mode: str = "constant", value: float = 0.0) -> Tensor:
    return pad(x, pads, value, mode=mode)


@operator("Pad", 11, lists=(1, 3), singles=(2,), size=sizes.pad)
def pad(
    x: Tensor,
    pads: list[int],
    constant_value: Tensor | float | None = None,
    axes: list[int] | None = None,
    *,
    mode: str = "constant",
) -> Tensor:
    before, after = ends(pads, axes, x.ndim)
    if mode == "constant":
        return pad_axes(x, before, after, _number(constant_value))
    if mode not in NATIVE:
        raise NotImplementedError(f"the padding mode '{mode}' is not known")
    if _fits(x, before, after, mode):
        return F.pad(x, [before[3], after[3], before[2], after[2]], mode=NATIVE[mode])
    for dim in range(x.ndim):
        if before[dim] or after[dim]:
            places = torch.arange(-before[dim], x.shape[dim] + after[dim], device=x.device)
            x = x.index_select(dim, _source(places, x.shape[dim], mode))
    return x


def ends(pads: Sequence[int], axes: Sequence[int] | None, rank: int) -> tuple[list[int], list[int]]:
    """The padding before and after each of ``rank`` axes."""
    dims = axes_or_all(axes, rank)
    before, after = [0] * rank, [0] * rank
    for dim, low, high in zip(dims, pads[: len(dims)], pads[len(dims) :], strict=True):
        before[dim], after[dim] = low, high
    return before, after


def _number(value: Tensor | float | None) -> float:
    if isinstance(value, Tensor):
        raise NotImplementedError("the value to pad with is not constant")
    return 0 if value is None else value


def _fits(x: Tensor, before: list[int], after: list[int], mode: str) -> bool:
    """Whether the faster F.pad applies: only the sides of images are padded, by less than their size."""
    if x.ndim != 4 or not x.is_floating_point() or any(before[:2] + after[:2]):
        return False
    limit = [n - 1 if mode == "reflect" else n for n in x.shape[2:]]
    return all(0 <= b <= n and 0 <= a <= n for b, a, n in zip(before[2:], after[2:], limit, strict=True))


def _source(places: Tensor, length: int, mode: str) -> Tensor:
    """The index of the element that each place takes its value from."""
    if mode == "edge":
        return places.clamp(0, length - 1)
    if mode == "wrap":
        return places.remainder(length)
    period = max(2 * (length - 1), 1)
    folded = places.remainder(period)
    return torch.minimum(folded, period - folded)


@operator("CenterCropPad", lists=(1,), size=sizes.crop)
def center_crop_pad(x: Tensor, shape: list[int], *, axes: list[int] | None = None) -> Tensor:
    before, after = [0] * x.ndim, [0] * x.ndim
    for dim, wanted in zip(axes_or_all(axes, x.ndim), shape, strict=True):
        missing = wanted - x.shape[dim]
        before[dim] = missing // 2 if missing > 0 else -(-missing // 2)
        after[dim] = missing - before[dim]
    return pad_axes(x, before, after, 0)
