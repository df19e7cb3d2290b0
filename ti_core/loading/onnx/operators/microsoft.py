"""The operators of ONNX Runtime's own domain that occur in optimised image classifiers."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx.registry import operator

DOMAIN = "com.microsoft"


@operator("Gelu", domain=DOMAIN)
def gelu(x: Tensor) -> Tensor:
    return F.gelu(x)


@operator("BiasGelu", domain=DOMAIN)
def bias_gelu(x: Tensor, bias: Tensor) -> Tensor:
    return F.gelu(x + bias)


@operator("FastGelu", domain=DOMAIN)
def fast_gelu(x: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.gelu(x if bias is None else x + bias, approximate="tanh")


@operator("QuickGelu", domain=DOMAIN)
def quick_gelu(x: Tensor, *, alpha: float = 1.702) -> Tensor:
    return x * torch.sigmoid(alpha * x)
