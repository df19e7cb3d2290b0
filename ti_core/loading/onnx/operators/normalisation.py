"""Normalisations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.onnx import sizes
from ti_core.loading.onnx.registry import operator
from ti_core.loading.onnx.windows import pad_axes


def _in_training(*, training_mode: int = 0, **_: Any) -> bool:
    return bool(training_mode)


def _has_statistics(*, outputs: int, **_: Any) -> bool:
    """Before opset 14, batch normalisation is in training mode if the node names more outputs than one."""
    return outputs > 1


@operator("BatchNormalization", 14, size=sizes.first, of_batch=_in_training)
def batch_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Tensor | tuple[Tensor, ...]:
    """In training mode the statistics are those of ``x``, as networks without normalised images use it on weights."""
    if training_mode:
        return _trained(x, scale, bias, mean, var, epsilon, momentum)[:3]
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


@operator("BatchNormalization", 9, size=sizes.first, of_batch=_has_statistics)
def batch_normalization_by_outputs(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    outputs: int = 1,
) -> Tensor | tuple[Tensor, ...]:
    if _has_statistics(outputs=outputs):
        return _trained(x, scale, bias, mean, var, epsilon, momentum)
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


@operator("BatchNormalization", 7, size=sizes.broadcast, of_batch=_has_statistics)
def batch_normalization_by_place(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    outputs: int = 1,
) -> Tensor | tuple[Tensor, ...]:
    """Without ``spatial`` each place of each channel has statistics of its own, ``C x H x W``."""
    if spatial:
        return batch_normalization_by_outputs(
            x, scale, bias, mean, var, epsilon=epsilon, momentum=momentum, outputs=outputs
        )
    return (x - mean) * torch.rsqrt(var + epsilon) * scale + bias


def _trained(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    var: Tensor,
    epsilon: float,
    momentum: float,
) -> tuple[Tensor, ...]:
    """The normalised ``x``, the running mean and variance after it, and its own mean and variance."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    own_var, own_mean = torch.var_mean(x, dim=axes, correction=0)
    y = F.batch_norm(x, own_mean, own_var, scale, bias, False, 0.0, epsilon)
    running = (old * momentum + new * (1 - momentum) for old, new in ((mean, own_mean), (var, own_var)))
    return (y, *running, own_mean, own_var)


@operator("InstanceNormalization", size=sizes.first)
def instance_normalization(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    # F.instance_norm and F.group_norm refuse channels of one pixel. ONNX defines a result for them.
    return torch.group_norm(x, x.shape[1], scale, bias, epsilon)


@operator("GroupNormalization", 21, size=sizes.first)
def group_normalization(
    x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int, stash_type: int = 1
) -> Tensor:
    return torch.group_norm(x, num_groups, scale, bias, epsilon)


@operator("GroupNormalization", 18, size=sizes.first)
def group_normalization_by_group(
    x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5, num_groups: int
) -> Tensor:
    """Group normalisation of opset 18, with one scale and bias for each group instead of each channel."""
    each = x.shape[1] // num_groups
    return torch.group_norm(
        x, num_groups, scale.repeat_interleave(each), bias.repeat_interleave(each), epsilon
    )


@operator("LayerNormalization")
def layer_normalization(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int = 1,
) -> Tensor | tuple[Tensor, ...]:
    axis = axis % x.ndim
    shape = x.shape[axis:]
    if scale.shape == shape and (bias is None or bias.shape == shape):
        y = F.layer_norm(x, shape, scale, bias, epsilon)
    else:
        y = F.layer_norm(x, shape, None, None, epsilon) * scale
        y = y if bias is None else y + bias
    if outputs == 1:
        return y
    dims = tuple(range(axis, x.ndim))
    var, mean = torch.var_mean(x, dim=dims, correction=0, keepdim=True)
    return y, mean, torch.rsqrt(var + epsilon)


@operator("RMSNormalization")
def rms_normalization(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    return F.rms_norm(x, x.shape[axis % x.ndim :], None, epsilon) * scale


@operator("LRN", size=sizes.first)
def local_response_normalization(
    x: Tensor, *, size: int, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0
) -> Tensor:
    # PyTorch's own function centres a window of even size differently.
    rows = pad_axes(
        x.square().reshape(x.shape[0], 1, x.shape[1], -1), [(size - 1) // 2, 0], [size // 2, 0], 0.0
    )
    mean = F.avg_pool2d(rows, (size, 1), stride=1).reshape(x.shape)
    return x / (bias + alpha * mean) ** beta


@operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    norm = torch.linalg.vector_norm(x, ord=p, dim=axis, keepdim=True)
    return torch.where(norm == 0, torch.zeros_like(x), x / norm)


@operator("MeanVarianceNormalization")
def mean_variance_normalization(x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    var, mean = torch.var_mean(x, dim=axes or [0, 2, 3], correction=0, keepdim=True)
    return (x - mean) / (var.sqrt() + 1e-9)
