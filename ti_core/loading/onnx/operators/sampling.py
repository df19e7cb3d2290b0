"""Sampling an image at computed places, as spatial transformers do."""

from __future__ import annotations

from math import prod

from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator

MODES = {
    "linear": "bilinear",
    "bilinear": "bilinear",
    "nearest": "nearest",
    "cubic": "bicubic",
    "bicubic": "bicubic",
}


@operator("GridSample", size=sizes.grid_sample)
def grid_sample(
    x: Tensor, grid: Tensor, *, align_corners: int = 0, mode: str = "bilinear", padding_mode: str = "zeros"
) -> Tensor:
    return F.grid_sample(x, grid, MODES[mode], padding_mode, bool(align_corners))


@operator("AffineGrid", lists=(1,), size=lambda theta, size, **_: 4 * theta.shape[0] * prod(size[2:]))
def affine_grid(theta: Tensor, size: list[int], *, align_corners: int = 0) -> Tensor:
    return F.affine_grid(theta, size, bool(align_corners))
