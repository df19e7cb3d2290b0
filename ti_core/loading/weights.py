"""Converts the tensors of a file for computation: float32, finite, frozen, in memory of their own."""

from __future__ import annotations

from typing import Any

import torch

from ti_core.errors import ModelFileError
from ti_core.text import shown

_REAL = (
    *(torch.float32, torch.float16, torch.bfloat16, torch.float64),
    *(torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz),
)


def as_tensor(value: Any, name: str) -> torch.Tensor:
    """``value`` as a plain dense tensor on the CPU.

    A subclass of tensor is refused, because it could override every operation.
    """
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        raise ModelFileError(f"The file's entry {shown(name)} is no tensor.")
    if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
        raise ModelFileError(f"The file's tensor {shown(name)} is not a dense one on the CPU.")
    tensor: torch.Tensor = value.detach()
    return tensor


def as_weight(value: Any, name: str, *, own: bool = False) -> torch.Tensor:
    """A float32 copy of a stored weight.

    Parameters
    ----------
    own : ``value`` was read for this call alone, so that it need not be copied.

    Raises
    ------
    ModelFileError : ``value`` is no dense tensor of real numbers, or holds NaN or infinity.
    """
    tensor = as_tensor(value, name)
    if tensor.dtype not in _REAL:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise ModelFileError(
            f"The file's tensor {shown(name)} is stored as {kind}; only models in floating point can be "
            f"inspected."
        )
    copy = tensor.to(torch.float32, copy=not own, memory_format=torch.contiguous_format)
    # NaN passes through the smallest and the largest number, which need no memory as a test of every number does.
    if copy.numel() and not torch.stack(torch.aminmax(copy)).isfinite().all():
        raise ModelFileError(
            f"The file's tensor {shown(name)} holds NaN or infinite values, so the model cannot be run."
        )
    return copy


def as_buffer(value: Any, name: str) -> torch.Tensor:
    """A copy of a buffer. Real numbers are converted as in :func:`as_weight`; counters keep their type."""
    tensor = as_tensor(value, name)
    return as_weight(value, name) if tensor.is_floating_point() else tensor.clone()


def frozen(tensor: torch.Tensor) -> torch.nn.Parameter:
    """``tensor`` as a parameter that requires no gradient."""
    return torch.nn.Parameter(tensor, requires_grad=False)
