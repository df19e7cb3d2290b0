"""How many numbers an operator will make, computed before it takes memory for them.

Each function takes the same arguments as the operator's function. It returns the number of elements of the
largest value that the operator makes, intermediate values included. For most operators this is the size of
their inputs after broadcasting.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, prod
from typing import Any

from torch import Tensor

from ti_core.loading.onnx.windows import Windows, windows


def broadcast_shape(shapes: Sequence[Sequence[int]]) -> list[int]:
    """The common shape of tensors after broadcasting. Where axes do not fit, the longest counts."""
    rank = max((len(s) for s in shapes), default=0)
    padded = [[1] * (rank - len(s)) + list(s) for s in shapes]
    return [0 if 0 in axis else max(axis) for axis in zip(*padded, strict=True)]


def broadcast(*values: Any, **_: Any) -> int:
    """For elementwise operators."""
    return prod(broadcast_shape([v.shape for v in values if isinstance(v, Tensor)]))


def first(x: Any, *_: Any, **__: Any) -> int:
    """For operators whose result is no larger than their first input."""
    return x.numel() if isinstance(x, Tensor) else 0


def together(*values: Any, **_: Any) -> int:
    """For operators that concatenate their inputs."""
    return sum(v.numel() for v in values if isinstance(v, Tensor))


def matmul(a: Tensor, b: Tensor) -> int:
    if a.ndim < 2 or b.ndim < 2:
        return max(a.numel(), b.numel())
    (m, k), n = a.shape[-2:], b.shape[-1]
    return prod(broadcast_shape([a.shape[:-2], b.shape[:-2]])) * max(m * n, m * k, k * n)


def gemm(a: Tensor, b: Tensor, c: Tensor | None = None, **keywords: Any) -> int:
    rows = a.shape[1] if keywords.get("transA") else a.shape[0]
    columns = b.shape[0] if keywords.get("transB") else b.shape[1]
    return rows * columns if c is None else max(rows * columns, c.numel())


def einsum(*tensors: Tensor, equation: str) -> int:
    left, arrow, right = equation.replace(" ", "").partition("->")
    lengths: dict[str, int] = {}
    rest: list[Sequence[int]] = []
    for term, tensor in zip(left.split(","), tensors, strict=True):
        before, _, after = term.partition("...")
        middle = len(tensor.shape) - len(after)
        rest.append(tensor.shape[len(before) : middle])
        for label, n in zip(
            before + after, [*tensor.shape[: len(before)], *tensor.shape[middle:]], strict=False
        ):
            lengths[label] = max(lengths.get(label, 1), n)
    # Two tensors are multiplied as matrices. With more tensors, intermediate values can have every axis.
    kept = right.replace("...", "") if arrow and len(tensors) <= 2 else "".join(lengths)
    return prod(broadcast_shape(rest)) * prod(lengths.get(label, 1) for label in kept)


def conv(x: Tensor, w: Tensor, b: Tensor | None = None, **keywords: Any) -> int:
    return max(
        _windowed(x, w.shape[2:], keywords), _windows(x, w.shape[2:], keywords) * x.shape[0] * w.shape[0]
    )


def conv_transpose(x: Tensor, w: Tensor, b: Tensor | None = None, **keywords: Any) -> int:
    place = windows(
        x.shape[2:], w.shape[2:], keywords.get("strides"), keywords.get("dilations"), None, "NOTSET"
    )
    extra = keywords.get("output_padding") or [0] * len(place.kernel)
    pads = keywords.get("pads") or [0]
    sides = [
        (n - 1) * s + (k - 1) * d + 1 + abs(e) + 2 * max(map(abs, pads))
        for n, s, k, d, e in zip(
            x.shape[2:], place.strides, place.kernel, place.dilations, extra, strict=True
        )
    ]
    wanted: list[int] = keywords.get("output_shape") or [0] * len(sides)
    full = [max(a, b) for a, b in zip(sides, wanted[-len(sides) :], strict=True)]
    return int(x.shape[0] * w.shape[1] * keywords.get("group", 1) * prod(full))


def pool(x: Tensor, **keywords: Any) -> int:
    kernel = keywords["kernel_shape"]
    return max(_windowed(x, kernel, keywords), _windows(x, kernel, keywords) * x.shape[0] * x.shape[1])


def _windowed(x: Tensor, kernel: Sequence[int], keywords: dict[str, Any]) -> int:
    place = _place(x, kernel, keywords)
    sides = zip(x.shape[2:], place.before, place.after, place.beyond, strict=True)
    return x.shape[0] * x.shape[1] * prod(n + max(b, 0) + max(a, 0) + max(e, 0) for n, b, a, e in sides)


def _windows(x: Tensor, kernel: Sequence[int], keywords: dict[str, Any]) -> int:
    return prod(_place(x, kernel, keywords).counts)


def _place(x: Tensor, kernel: Sequence[int], keywords: dict[str, Any]) -> Windows:
    names = ("strides", "dilations", "pads")
    strides, dilations, pads = (keywords.get(name) for name in names)
    auto_pad, ceil_mode = keywords.get("auto_pad", "NOTSET"), keywords.get("ceil_mode", 0)
    return windows(x.shape[2:], kernel, strides, dilations, pads, auto_pad, ceil_mode)


def pad(
    x: Tensor, pads: Sequence[int], value: Any = None, axes: Sequence[int] | None = None, **_: Any
) -> int:
    shape = list(x.shape)
    dims = range(x.ndim) if axes is None else axes
    for dim, low, high in zip(dims, pads, pads[len(dims) :], strict=False):
        shape[dim] += max(low, 0) + max(high, 0)
    return prod(shape)


def tile(x: Tensor, repeats: Sequence[int]) -> int:
    return x.numel() * prod(repeats)


def of_shape(shape: Sequence[int] | int, **_: Any) -> int:
    return shape if isinstance(shape, int) else prod(shape)


def col2im(
    x: Tensor, image_shape: Sequence[int], block_shape: Sequence[int], *, pads: Sequence[int] = (), **_: Any
) -> int:
    channels = x.numel() // max(prod(block_shape) * x.shape[2], 1)
    return max(x.numel(), channels * prod(n + 2 * max((0, *pads)) for n in image_shape))


def expand(x: Tensor, shape: Sequence[int]) -> int:
    return prod(broadcast_shape([x.shape, shape]))


def crop(x: Tensor, shape: Sequence[int], **_: Any) -> int:
    return x.numel() * prod(shape)


def arange(start: float, limit: float, delta: float, **_: Any) -> int:
    return max(ceil((limit - start) / delta), 0)


def one_hot(indices: Tensor, depth: Any, values: Tensor, **_: Any) -> int:
    return indices.numel() * int(depth[0] if isinstance(depth, list) else depth)


def gather(x: Tensor, indices: Tensor | int, *, axis: int = 0, **_: Any) -> int:
    if isinstance(indices, int):
        return x.numel()
    return indices.numel() * (x.numel() // max(x.shape[axis], 1))


def gather_nd(x: Tensor, indices: Tensor, *, batch_dims: int = 0) -> int:
    picked = indices.numel() // max(indices.shape[-1], 1)
    return max(picked * prod(x.shape[batch_dims + indices.shape[-1] :]), indices.numel())


def grid_sample(x: Tensor, grid: Tensor, **_: Any) -> int:
    return max(prod(x.shape[:2]) * prod(grid.shape[1:-1]), grid.numel())


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, **keywords: Any) -> int:
    heads = keywords.get("q_num_heads") or q.shape[1]
    products = q.shape[0] * heads * q.shape[-2] * k.shape[-2]
    groups = max(int(heads) // max(k.shape[1], 1), 1) if q.ndim == 4 else 1
    return max(products, k.numel() * groups, v.numel() * groups)
