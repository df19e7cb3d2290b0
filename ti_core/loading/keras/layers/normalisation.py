"""Normalisation by stored statistics, and by those of the image itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ti_core.errors import ModelFileError
from ti_core.loading.keras.layers.registry import Part, Weights, layer, parameter
from ti_core.loading.keras.options import Options


def _learnt(options: Options) -> Sequence[str]:
    """gamma and beta, as far as the layer has them."""
    wanted = (("gamma", options.flag("scale", True)), ("beta", options.flag("center", True)))
    return [name for name, there in wanted if there]


def _shaped(statistic: Tensor, x: Tensor, axes: Sequence[int]) -> Tensor:
    """A statistic over these axes of ``x``, with the other axes of length 1."""
    shape = [n if axis in axes else 1 for axis, n in enumerate(x.shape)]
    return statistic.reshape(shape)


def _axes(axes: Sequence[int], x: Tensor) -> list[int]:
    """Axes counted from the front."""
    found = [axis + x.ndim if axis < 0 else axis for axis in axes]
    if not all(0 < axis < x.ndim for axis in found):
        raise ValueError(f"it normalises the axes {tuple(axes)} of values of the shape {tuple(x.shape[1:])}")
    return sorted(found)


class BatchNormalization(Part):
    """``(x - mean) / sqrt(variance + epsilon) * gamma + beta`` along one axis."""

    mean: Tensor
    variance: Tensor

    def __init__(self, axis: int, epsilon: float, weights: Weights) -> None:
        super().__init__()
        self.axis, self.epsilon = axis, epsilon
        self.register_buffer("mean", weights["moving_mean"])
        self.register_buffer("variance", weights["moving_variance"])
        self.gamma = parameter(weights["gamma"]) if "gamma" in weights else None
        self.beta = parameter(weights["beta"]) if "beta" in weights else None

    def forward(self, x: Tensor) -> Tensor:
        (axis,) = _axes([self.axis], x)
        y = F.batch_norm(
            x.movedim(axis, 1), self.mean, self.variance, self.gamma, self.beta, False, 0.0, self.epsilon
        )
        return y.movedim(1, axis)


@layer(
    "BatchNormalization",
    "SyncBatchNormalization",
    trained=_learnt,
    fixed=lambda _: ["moving_mean", "moving_variance"],
)
def _batch(options: Options, weights: Weights) -> nn.Module:
    axes = options.integers("axis") if "axis" in options else (-1,)
    if len(axes) != 1:
        raise options.wrong("axis")
    options.only("renorm", False)
    return BatchNormalization(axes[0], options.number("epsilon", 1e-3), weights)


class LayerNormalization(Part):
    """Mean 0 and variance 1 over the axes of every image, then ``gamma`` and ``beta``."""

    def __init__(self, axes: tuple[int, ...], epsilon: float, weights: Weights) -> None:
        super().__init__()
        self.axes, self.epsilon = axes, epsilon
        self.gamma = parameter(weights["gamma"]) if "gamma" in weights else None
        self.beta = parameter(weights["beta"]) if "beta" in weights else None

    def forward(self, x: Tensor) -> Tensor:
        axes = _axes(self.axes, x)
        variance, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        y = (x - mean) * torch.rsqrt(variance + self.epsilon)
        y = y if self.gamma is None else y * _shaped(self.gamma, x, axes)
        return y if self.beta is None else y + _shaped(self.beta, x, axes)


@layer("LayerNormalization", trained=_learnt)
def _layer(options: Options, weights: Weights) -> nn.Module:
    options.only("rms_scaling", False)
    axes = options.integers("axis") if "axis" in options else (-1,)
    return LayerNormalization(axes, options.number("epsilon", 1e-3), weights)


class GroupNormalization(Part):
    """Mean 0 and variance 1 over groups of channels of every image, then ``gamma`` and ``beta``."""

    def __init__(self, groups: int, axis: int, epsilon: float, weights: Weights) -> None:
        super().__init__()
        self.groups, self.axis, self.epsilon = groups, axis, epsilon
        self.gamma = parameter(weights["gamma"]) if "gamma" in weights else None
        self.beta = parameter(weights["beta"]) if "beta" in weights else None

    def forward(self, x: Tensor) -> Tensor:
        (axis,) = _axes([self.axis], x)
        groups = x.shape[axis] if self.groups == -1 else self.groups
        y = F.group_norm(x.movedim(axis, 1), groups, self.gamma, self.beta, self.epsilon)
        return y.movedim(1, axis)


@layer("GroupNormalization", trained=_learnt)
def _group(options: Options, weights: Weights) -> nn.Module:
    axes = options.integers("axis") if "axis" in options else (-1,)
    groups = options.integer("groups", 32, least=-1)
    if len(axes) != 1 or groups == 0:
        raise options.wrong("axis" if groups else "groups")
    return GroupNormalization(groups, axes[0], options.number("epsilon", 1e-3), weights)


def _statistics(options: Options) -> Sequence[str]:
    """The weights of a layer whose statistics were computed from data; the options hold those that were given."""
    return [] if "mean" in options else ["mean", "variance", "count"]


class Normalization(Part):
    """``(x - mean) / sqrt(variance)`` with statistics of the training data."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, axes: tuple[int, ...], mean: Tensor, variance: Tensor, inverted: bool) -> None:
        super().__init__()
        self.axes, self.inverted = axes, inverted
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", variance.sqrt().clamp(min=1e-7))

    def forward(self, x: Tensor) -> Tensor:
        axes = _axes(self.axes, x)
        mean, deviation = (
            s.reshape(()) if s.numel() == 1 else _shaped(s, x, axes) for s in (self.mean, self.deviation)
        )
        return mean + x * deviation if self.inverted else (x - mean) / deviation


@layer("Normalization", fixed=_statistics)
def _normalization(options: Options, weights: Weights) -> nn.Module:
    axes = options.integers("axis") if "axis" in options else (-1,)
    if options.values.get("axis", -1) is None:
        axes = ()
    if "mean" in options:
        found = {name: torch.tensor(options.numbers(name, 0.0)) for name in ("mean", "variance")}
    else:
        found = {name: weights[name] for name in ("mean", "variance")}
    if bool((found["variance"] < 0).any()):
        raise ModelFileError(f"{options.label} has a negative variance.")
    return Normalization(axes, found["mean"], found["variance"], options.flag("invert", False))
