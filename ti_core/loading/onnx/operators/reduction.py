"""Reductions over axes. The axes are an attribute in older opsets and an input in newer ones."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ti_core.loading.onnx.registry import operator

Reduce = Callable[[Tensor, list[int], bool], Tensor]


def _largest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _extreme(x, axes, keep, torch.amax, largest=True)


def _smallest(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return _extreme(x, axes, keep, torch.amin, largest=False)


def _extreme(
    x: Tensor, axes: list[int], keep: bool, reduce: Callable[..., Tensor], *, largest: bool
) -> Tensor:
    if any(x.shape[a] == 0 for a in axes):  # the neutral element, or 0 for integers
        low, high = (-torch.inf, torch.inf) if x.is_floating_point() else (0, 0)
        return torch.full_like(x.sum(axes, keepdim=keep), low if largest else high)
    return reduce(x, axes, keepdim=keep)


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((a % x.ndim for a in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _sum(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    return x.sum(axes, keepdim=keep)


REDUCE: dict[str, Reduce] = {
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep).to(x.dtype),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceMax": _largest,
    "ReduceMin": _smallest,
    "ReduceProd": lambda x, axes, keep: _product(x, axes, keep).to(x.dtype),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep).to(x.dtype),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, dim=axes, keepdim=keep),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keepdim=keep).to(x.dtype),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: torch.logsumexp(x, axes, keepdim=keep),
}


def _reduction(reduce: Reduce) -> Callable[..., Tensor]:
    def over(
        x: Tensor, axes: list[int] | int | None = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Tensor:
        axes = [axes] if isinstance(axes, int) else axes
        if not axes and noop_with_empty_axes:
            # Each number is reduced by itself; ReduceSumSquare, for example, still squares it.
            return reduce(x.unsqueeze(0), [0], False)
        chosen = axes or list(range(x.ndim))
        return reduce(x, chosen, bool(keepdims)) if x.ndim else reduce(x.unsqueeze(0), [0], False)

    return over


for _name, _reduce in REDUCE.items():
    operator(_name, lists=(1,))(_reduction(_reduce))


@operator("ArgMax")
def argmax(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _position(torch.argmax, x, axis, keepdims, select_last_index)


@operator("ArgMin")
def argmin(x: Tensor, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Tensor:
    return _position(torch.argmin, x, axis, keepdims, select_last_index)


def _position(find: Callable[..., Tensor], x: Tensor, axis: int, keepdims: int, last: int) -> Tensor:
    if last:
        return x.shape[axis] - 1 - find(x.flip(axis), dim=axis, keepdim=bool(keepdims))
    return find(x, dim=axis, keepdim=bool(keepdims))
