"""Arithmetic on one, two or any number of tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import torch
from torch import Tensor

from ti_core.loading.onnx.registry import operator

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Neg": torch.neg,
    "Sign": torch.sign,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Reciprocal": torch.reciprocal,
    "Sqrt": torch.sqrt,
    "Exp": torch.exp,
    "Log": torch.log,
    "Erf": torch.erf,
    "Sin": torch.sin,
    "Cos": torch.cos,
    "Tan": torch.tan,
    "Asin": torch.asin,
    "Acos": torch.acos,
    "Atan": torch.atan,
    "Sinh": torch.sinh,
    "Cosh": torch.cosh,
    "Asinh": torch.asinh,
    "Acosh": torch.acosh,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Det": torch.linalg.det,
}
for _name, _unary in UNARY.items():
    operator(_name)(_unary)

BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
}
for _name, _binary in BINARY.items():
    operator(_name)(_binary)


@operator("Identity")
def identity(x: Tensor) -> Tensor:
    return x


@operator("Div")
def divide(a: Tensor, b: Tensor) -> Tensor:
    if a.is_floating_point():
        return a / b
    # The smallest integer divided by -1 overflows, and the processor would end the program.
    minus = b == -1
    return torch.where(
        minus, -a, torch.div(a, torch.where(minus, torch.ones_like(b), b), rounding_mode="trunc")
    )


@operator("Mod")
def modulo(a: Tensor, b: Tensor, *, fmod: int = 0) -> Tensor:
    remainder = torch.fmod if fmod else torch.remainder
    if a.is_floating_point():
        return remainder(a, b)
    return remainder(a, torch.where(b == -1, torch.ones_like(b), b))  # as for Div; the remainder is always 0


@operator("Pow", singles=(1,))
def power(a: Tensor, b: Tensor | float) -> Tensor:
    return torch.pow(a, b).to(a.dtype)


@operator("BitShift")
def bit_shift(a: Tensor, b: Tensor, *, direction: str) -> Tensor:
    return torch.bitwise_left_shift(a, b) if direction == "LEFT" else torch.bitwise_right_shift(a, b)


@operator("Sum")
def total(*tensors: Tensor) -> Tensor:
    return reduce(torch.add, tensors)


@operator("Mean")
def mean(*tensors: Tensor) -> Tensor:
    return reduce(torch.add, tensors) / len(tensors)


@operator("Max")
def maximum(*tensors: Tensor) -> Tensor:
    return reduce(torch.maximum, tensors)


@operator("Min")
def minimum(*tensors: Tensor) -> Tensor:
    return reduce(torch.minimum, tensors)


@operator("CumSum", lists=(1,))
def cumulative_sum(x: Tensor, axis: int, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return _cumulate(torch.cumsum, x, _only(axis), exclusive, reverse, 0)


@operator("CumProd", lists=(1,))
def cumulative_product(x: Tensor, axis: int, *, exclusive: int = 0, reverse: int = 0) -> Tensor:
    return _cumulate(torch.cumprod, x, _only(axis), exclusive, reverse, 1)


def _only(axis: int | list[int]) -> int:
    return axis[0] if isinstance(axis, list) else axis


def _cumulate(
    along: Callable[..., Tensor], x: Tensor, axis: int, exclusive: int, reverse: int, neutral: int
) -> Tensor:
    if reverse:
        x = x.flip(axis)
    y = along(x, dim=axis).to(x.dtype)
    if exclusive:
        first = torch.full_like(y.narrow(axis, 0, 1), neutral)
        y = torch.cat([first, y.narrow(axis, 0, y.shape[axis] - 1)], dim=axis)
    return y.flip(axis) if reverse else y
