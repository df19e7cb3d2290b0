"""Matrix products."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator

operator("MatMul", size=sizes.matmul)(torch.matmul)


@operator("Gemm", size=sizes.gemm)
def gemm(
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    if transA:
        a = a.t()
    if alpha == 1 and (c is None or (beta == 1 and c.ndim == 1)):
        return F.linear(a, b if transB else b.t(), c)
    product = alpha * (a @ (b.t() if transB else b))
    return product if c is None else product + beta * c


@operator("Einsum", size=sizes.einsum)
def einsum(*tensors: Tensor, equation: str) -> Tensor:
    result: Tensor = torch.einsum(equation.replace(" ", ""), *tensors)
    return result
