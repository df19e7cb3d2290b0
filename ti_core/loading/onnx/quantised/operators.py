"""From real numbers to whole ones and back."""

from __future__ import annotations

from typing import Any

import torch
from onnx import TensorProto
from torch import Tensor

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.operators.microsoft import DOMAIN
from ti_core.loading.onnx.registry import operator

QUANTISES = frozenset({"QuantizeLinear", "DynamicQuantizeLinear"})
"""Operators that round values to whole numbers."""
QUANTISED = QUANTISES | {"DequantizeLinear"}

_RANGES: dict[Any, tuple[int, int]] = {
    torch.uint8: (0, 255),
    torch.int8: (-128, 127),
    torch.int16: (-32_768, 32_767),
    torch.int32: (0, 65_535),  # 16-bit unsigned integers are held in 32 bits
    TensorProto.UINT8: (0, 255),
    TensorProto.INT8: (-128, 127),
    TensorProto.INT16: (-32_768, 32_767),
    TensorProto.UINT16: (0, 65_535),
}


class _Round(torch.autograd.Function):
    """Rounds half to even. Its gradient is that of the identity."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        """Nothing is kept for the gradient."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return tangents[0].clone()


def rounded(x: Tensor) -> Tensor:
    """The nearest whole numbers. Gradients pass straight through."""
    whole: Tensor = _Round.apply(x)  # type: ignore[no-untyped-call]
    return whole


def quantize_linear(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
    precision: int = 0,
    saturate: int = 1,
) -> Tensor:
    low, high = _range(zero, output_dtype)
    y = rounded(x / _along(scale, x, axis, block_size))
    if zero is not None:
        y = y + _along(zero, x, axis, block_size).to(y.dtype)
    return y.clamp(low, high)


def dequantize_linear(
    x: Tensor,
    scale: Tensor,
    zero: Tensor | None = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Tensor:
    y = x.to(scale.dtype)
    if zero is not None:
        y = y - _along(zero, x, axis, block_size).to(y.dtype)
    return y * _along(scale, x, axis, block_size)


for _domain in ("", DOMAIN):
    operator("QuantizeLinear", domain=_domain, size=sizes.first)(quantize_linear)
    operator("DequantizeLinear", domain=_domain, size=sizes.first)(dequantize_linear)


@operator("DynamicQuantizeLinear", size=sizes.first, joins=True)
def dynamic_quantize_linear(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """8-bit numbers, their scale and their zero point, from the smallest and the largest number in ``x``."""
    low, high = x.detach().amin().clamp(max=0), x.detach().amax().clamp(min=0)
    scale = (high - low) / 255
    scale = torch.where(scale == 0, torch.ones_like(scale), scale)
    zero = (-low / scale).round().clamp(0, 255)
    return (rounded(x / scale) + zero).clamp(0, 255), scale, zero


def _range(zero: Tensor | None, output_dtype: int) -> tuple[int, int]:
    """The smallest and the largest number of the type that the zero point has or the node names; otherwise of uint8."""
    if output_dtype:
        if output_dtype not in _RANGES:
            raise NotImplementedError("it makes numbers of a type that is not supported")
        return _RANGES[output_dtype]
    return _RANGES[torch.uint8] if zero is None or zero.is_floating_point() else _RANGES[zero.dtype]


def _along(value: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """A scale or zero point, shaped so that it goes with ``x``: one number, one a place of ``axis``, or one a block."""
    if value.numel() == 1:
        return value.reshape(())
    if value.ndim == 1:
        if value.shape[0] != x.shape[axis]:
            raise ValueError(f"it has {value.shape[0]} scales or zero points for {x.shape[axis]} channels")
        axis = axis % x.ndim
        return value.reshape([-1 if i == axis else 1 for i in range(x.ndim)])
    length = x.shape[axis]
    if block < 1 or value.shape[axis] != -(-length // block):
        raise ValueError("its blocks do not cover its input")
    wide = value.index_select(axis, torch.arange(length, device=value.device) // block)
    if wide.shape != x.shape:
        raise ValueError("its blocks do not cover its input")
    return wide
