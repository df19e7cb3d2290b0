"""Class count and input shape of a network, found by trying several image sizes."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import torch
from torch import nn

from ti_core.architectures import Architecture
from ti_core.errors import SketchError
from ti_core.reconstruction.modules import Sketched
from ti_core.text import shown

_SHAPELESS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Tanh,
)
_SIDES = (28, 32, 48, 64, 96, 128, 224)


def facts_of(module: nn.Module) -> tuple[int | None, tuple[int, int, int] | None]:
    """Class count K and input shape (C, H, W), as far as the network's layers determine them.

    H and W are 0 where several image sizes fit. A network built from the file's own layers is run on tensors
    that have a shape but no content, so nothing is computed. A registered architecture is run on ordinary
    images: its sizes follow from its weights, and each run takes milliseconds. Tensors without content would
    cost a second or two of imports.
    """
    if isinstance(module, Sketched) and module.input_shape is not None:
        return _facts_of_sketch(module, module.input_shape)
    own = isinstance(module, Architecture)
    hollow, device = (module, "cpu") if own else (_hollow(module), "meta")
    conv = next((m for m in module.modules() if isinstance(m, nn.Conv2d)), None)
    linear = next((m for m in module.modules() if isinstance(m, nn.Linear)), None)
    channels = (conv.in_channels,) if conv is not None else (1, 3)
    found: list[tuple[int, int, int]] = []
    classes: int | None = None
    for c in channels:
        sides = [module.side] if isinstance(module, Architecture) and module.side else list(_SIDES)
        if conv is None and linear is not None:
            sides.insert(0, math.isqrt(linear.in_features // c))
        for side in dict.fromkeys(sides):
            outputs = _outputs(hollow, (c, side, side), device)
            if outputs is None:
                continue
            classes = outputs
            found.append((c, side, side))
            if len(found) > 1:
                break
    if not found:
        last = [m for m in module.modules() if isinstance(m, nn.Linear)]
        return (last[-1].out_features if last else None), (
            (conv.in_channels, 0, 0) if conv is not None else None
        )
    if len(found) == 1:
        return classes, found[0]
    same = {c for c, _, _ in found}
    return classes, (found[0][0], 0, 0) if len(same) == 1 else None


def _facts_of_sketch(
    module: Sketched, shape: tuple[int, int, int]
) -> tuple[int | None, tuple[int, int, int] | None]:
    """The class count of a network whose sketch says which images it takes.

    Raises
    ------
    SketchError : such images do not go through it, or it returns no row of scores.
    """
    says = " x ".join(map(str, shape))
    try:
        with torch.no_grad():
            scores = _hollow(module)(torch.zeros(1, *shape, device="meta"))
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SketchError(
            f"Images of {says} do not go through the network of the sketch: {shown(reason, 200)}."
        ) from error
    if scores.dim() != 2:
        raise SketchError(
            f"The network of the sketch returns a tensor of shape {tuple(scores.shape)} for one image of {says}; end it"
            " with flatten and linear."
        )
    return scores.shape[1], shape


def _hollow(module: nn.Module) -> nn.Module:
    """A copy whose tensors have a shape but no content."""
    tensors = (*module.parameters(), *module.buffers())
    known: dict[int, Any] = {id(t): nn.Parameter(torch.empty_like(t, device="meta"), False) for t in tensors}
    copy = deepcopy(module, known)
    for part in list(copy.modules()):
        for name, child in part.named_children():
            # These layers keep the shape, but are by far the slowest to run without content.
            if isinstance(child, _SHAPELESS):
                part._modules[name] = nn.Identity()
    return copy


def _outputs(hollow: nn.Module, shape: tuple[int, int, int], device: str) -> int | None:
    try:
        with torch.no_grad():
            scores = hollow(torch.zeros(1, *shape, device=device))
    except Exception:
        # A size that does not fit can fail in any layer, with any kind of error.
        return None
    if not isinstance(scores, torch.Tensor) or scores.dim() != 2:
        return None
    return scores.shape[1]
