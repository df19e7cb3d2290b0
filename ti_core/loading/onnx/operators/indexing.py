"""Operators that pick elements of a tensor or replace them."""

from __future__ import annotations

import torch
from torch import Tensor

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.operators.shape import axes_or_all
from ti_core.loading.onnx.registry import operator

REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@operator("Slice", lists=(1, 2, 3, 4))
def slice_(
    x: Tensor,
    starts: list[int],
    ends: list[int],
    axes: list[int] | None = None,
    steps: list[int] | None = None,
) -> Tensor:
    dims = axes_or_all(axes, x.ndim) if axes is not None else list(range(len(starts)))
    for i, dim in enumerate(dims):
        step = steps[i] if steps else 1
        if step == 0:
            raise ValueError("a step is 0")
        picked = range(*slice(starts[i], ends[i], step).indices(x.shape[dim]))
        if step == 1:
            x = x.narrow(dim, picked.start if len(picked) else 0, len(picked))
        elif step > 0:
            x = x[(slice(None),) * dim + (slice(picked.start, picked.stop, step),)]
        else:
            x = x.index_select(dim, torch.arange(picked.start, picked.stop, step, device=x.device))
    return x


@operator("Gather", scalars=(1,), size=sizes.gather)
def gather(x: Tensor, indices: Tensor | int, *, axis: int = 0) -> Tensor:
    if isinstance(indices, int):
        return x.select(axis, indices)
    axis = axis % x.ndim
    picked = x.index_select(axis, _wrapped(indices.reshape(-1), x.shape[axis]))
    return picked.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _wrapped(indices: Tensor, length: int) -> Tensor:
    """Indices counted from the front. A negative index counts from the end."""
    indices = indices.long()
    return torch.where(indices < 0, indices + length, indices)


@operator("GatherElements", size=sizes.together)
def gather_elements(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    return x.gather(axis, _wrapped(indices, x.shape[axis]))


@operator("GatherND", size=sizes.gather_nd)
def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> Tensor:
    batch, depth = x.shape[:batch_dims], indices.shape[-1]
    rows = x.reshape(batch.numel(), *x.shape[batch_dims:])
    wanted = indices.reshape(batch.numel(), -1, depth)
    here = torch.arange(batch.numel(), device=x.device).unsqueeze(1)
    picked = rows[(here, *(_wrapped(wanted[..., i], rows.shape[1 + i]) for i in range(depth)))]
    return picked.reshape(*indices.shape[:-1], *x.shape[batch_dims + depth :])


@operator("ScatterElements", size=sizes.together)
def scatter_elements(
    x: Tensor, indices: Tensor, updates: Tensor, *, axis: int = 0, reduction: str = "none"
) -> Tensor:
    places = _wrapped(indices, x.shape[axis])
    if reduction == "none":
        return x.scatter(axis, places, updates)
    return x.scatter_reduce(axis, places, updates, REDUCTIONS[reduction])


operator("Scatter", size=sizes.together)(scatter_elements)


@operator("ScatterND", size=sizes.together)
def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, *, reduction: str = "none") -> Tensor:
    depth = indices.shape[-1]
    inner = x.shape[depth:]
    place = torch.zeros(indices.shape[:-1], dtype=torch.int64, device=x.device)
    for i in range(depth):
        place = place * x.shape[i] + _wrapped(indices[..., i], x.shape[i])
    rows = x.reshape(x.shape[:depth].numel(), inner.numel())
    new = updates.reshape(-1, inner.numel())
    index = place.reshape(-1, 1).expand(-1, inner.numel())
    if reduction == "none":
        return rows.scatter(0, index, new).reshape(x.shape)
    return rows.scatter_reduce(0, index, new, REDUCTIONS[reduction]).reshape(x.shape)


@operator("OneHot", lists=(1,), size=sizes.one_hot)
def one_hot(indices: Tensor, depth: int | list[int], values: Tensor, *, axis: int = -1) -> Tensor:
    count = int(depth[0] if isinstance(depth, list) else depth)
    rank = indices.ndim + 1
    axis = axis % rank
    classes = torch.arange(count, device=indices.device).reshape(
        [-1 if i == axis else 1 for i in range(rank)]
    )
    hit = _wrapped(indices, count).unsqueeze(axis) == classes
    return torch.where(hit, values[1], values[0])


@operator("TopK", lists=(1,))
def top_k(
    x: Tensor, k: list[int] | int, *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Tensor, Tensor]:
    count = k[0] if isinstance(k, list) else k
    values, indices = torch.sort(x, dim=axis, descending=bool(largest), stable=True)
    return values.narrow(axis, 0, count), indices.narrow(axis, 0, count)


@operator("Trilu", lists=(1,))
def triangle(x: Tensor, k: int | list[int] | None = None, *, upper: int = 1) -> Tensor:
    diagonal = int(k[0] if isinstance(k, list) else k or 0)
    return x.triu(diagonal) if upper else x.tril(diagonal)


@operator("NonZero", constant=True)
def non_zero(x: Tensor) -> Tensor:
    return x.nonzero().t()
