"""Operators that read shapes, change shapes, or make tensors from them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator
from ti_core.loading.onnx.types import torch_type


@operator("Shape", of_shapes=True)
def shape(x: Tensor, *, start: int = 0, end: int | None = None) -> Tensor:
    return torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


@operator("Size", of_shapes=True)
def size(x: Tensor) -> Tensor:
    return torch.tensor(x.numel(), dtype=torch.int64)


@operator("Constant")
def constant(
    *,
    value: Tensor | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
) -> Tensor:
    if value is not None:
        return value
    floats = value_float if value_float is not None else value_floats
    if floats is not None:
        return torch.tensor(floats, dtype=torch.float32)
    return torch.tensor(value_int if value_int is not None else value_ints, dtype=torch.int64)


@operator("ConstantOfShape", lists=(0,), size=sizes.of_shape)
def constant_of_shape(shape: list[int] | int, *, value: Tensor | None = None) -> Tensor:
    """An empty list makes a value without dimensions; a number without dimensions counts as a list of one."""
    shape = [shape] if isinstance(shape, int) else shape
    if value is None:
        return torch.zeros(shape)
    return torch.full(shape, value.item(), dtype=value.dtype)


@operator("Range", lists=(0, 1, 2), size=sizes.arange)
def arange(start: float, limit: float, delta: float, *, stash_type: int = 1) -> Tensor:
    return (
        torch.arange(start, limit, delta)
        if (limit - start) * delta > 0
        else torch.arange(start, start, delta)
    )


@operator("Reshape", lists=(1,))
def reshape(x: Tensor, shape: list[int], *, allowzero: int = 0) -> Tensor:
    if not allowzero:
        shape = [x.shape[i] if n == 0 else n for i, n in enumerate(shape)]
    return x.reshape(shape)


@operator("Flatten")
def flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    if axis == 1:
        return x.flatten(1) if x.ndim > 1 else x.reshape(-1, 1)
    rows = x.shape[: axis if axis >= 0 else x.ndim + axis].numel()
    return x.reshape(rows, x.numel() // rows if rows else 0)


@operator("Squeeze", lists=(1,))
def squeeze(x: Tensor, axes: list[int] | int | None = None) -> Tensor:
    if axes is None:
        return x.squeeze()
    dims = [axes] if isinstance(axes, int) else axes
    if any(x.shape[d] != 1 for d in dims):
        raise ValueError("an axis to be dropped has a length other than 1")
    return x.squeeze(tuple(dims))


@operator("Unsqueeze", lists=(1,))
def unsqueeze(x: Tensor, axes: list[int] | int) -> Tensor:
    dims = [axes] if isinstance(axes, int) else axes
    rank = x.ndim + len(dims)
    for dim in sorted(d + rank if d < 0 else d for d in dims):
        x = x.unsqueeze(dim)
    return x


@operator("Transpose")
def transpose(x: Tensor, *, perm: list[int] | None = None) -> Tensor:
    return x.permute(perm if perm is not None else list(reversed(range(x.ndim))))


@operator("Expand", lists=(1,), size=sizes.expand)
def expand(x: Tensor, shape: list[int]) -> Tensor:
    return x.expand(sizes.broadcast_shape([x.shape, shape]))


@operator("Tile", lists=(1,), size=sizes.tile)
def tile(x: Tensor, repeats: list[int]) -> Tensor:
    return x.repeat(repeats)


@operator("Concat", size=sizes.together)
def concat(*tensors: Tensor, axis: int) -> Tensor:
    return torch.cat(tensors, dim=axis)


@operator("Split", lists=(1,))
def split(
    x: Tensor, split: list[int] | None = None, *, axis: int = 0, num_outputs: int | None = None, outputs: int
) -> tuple[Tensor, ...]:
    if split:
        return torch.split(x, split, dim=axis)
    count = num_outputs or outputs
    return torch.split(x, max(-(-x.shape[axis] // count), 1), dim=axis)


@operator("Cast")
def cast(x: Tensor, *, to: int, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return x.to(torch_type(to, "A Cast"))


@operator("CastLike", size=sizes.first)
def cast_like(x: Tensor, like: Tensor, *, saturate: int = 1, round_mode: str = "up") -> Tensor:
    return x.to(like.dtype)


@operator("Dropout")
def dropout(
    x: Tensor,
    ratio: Tensor | float | None = None,
    training_mode: Tensor | None = None,
    *,
    seed: int | None = None,
    outputs: int = 1,
) -> Tensor | tuple[Tensor, Tensor]:
    """Return the input. A network under inspection is in evaluation mode, whatever mode it was exported in."""
    return x if outputs == 1 else (x, torch.ones_like(x, dtype=torch.bool))


@operator("DepthToSpace")
def depth_to_space(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    inner = c // (blocksize * blocksize)
    if mode == "DCR":
        cells = x.reshape(n, blocksize, blocksize, inner, h, w).permute(0, 3, 4, 1, 5, 2)
    else:
        cells = x.reshape(n, inner, blocksize, blocksize, h, w).permute(0, 1, 4, 2, 5, 3)
    return cells.reshape(n, inner, h * blocksize, w * blocksize)


@operator("SpaceToDepth")
def space_to_depth(x: Tensor, *, blocksize: int, mode: str = "DCR") -> Tensor:
    n, c, h, w = x.shape
    cells = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    cells = cells.permute(0, 3, 5, 1, 2, 4) if mode == "DCR" else cells.permute(0, 1, 3, 5, 2, 4)
    return cells.reshape(n, c * blocksize * blocksize, h // blocksize, w // blocksize)


@operator("EyeLike", of_shapes=True)
def eye_like(x: Tensor, *, dtype: int | None = None, k: int = 0) -> Tensor:
    rows, columns = x.shape
    kind = x.dtype if dtype is None else torch_type(dtype, "An EyeLike")
    return torch.ones(rows, columns, dtype=torch.int64).triu(k).tril(k).to(kind)


def axes_or_all(axes: Sequence[int] | None, rank: int) -> list[int]:
    """The axes of an operator, counted from the front. None stands for all axes."""
    return list(range(rank)) if axes is None else [a + rank if a < 0 else a for a in axes]
