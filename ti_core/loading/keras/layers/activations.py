"""Activations, by name and as layers of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ti_core.errors import ModelFileError
from ti_core.loading.keras.layers.registry import KINDS, Part, Weights, layer, parameter
from ti_core.loading.keras.options import Options
from ti_core.text import shown

Function = Callable[[Tensor], Tensor]


class Softmax(Part):
    """Shares along an axis."""

    def __init__(self, axis: tuple[int, ...] = (-1,)) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        if any(axis % x.ndim == 0 for axis in self.axis):
            raise ValueError("it takes shares over a batch")
        if len(self.axis) == 1:
            return F.softmax(x, dim=self.axis[0])
        return (x - torch.logsumexp(x, dim=self.axis, keepdim=True)).exp()


class Sigmoid(Part):
    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


class Elementwise(Part):
    """A function of every number by itself."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class ReLU(Part):
    """``max_value`` from there on, ``x`` from the threshold on, ``negative_slope * (x - threshold)`` below it."""

    def __init__(self, slope: float = 0.0, most: float | None = None, threshold: float = 0.0) -> None:
        super().__init__()
        self.slope, self.most, self.threshold = slope, most, threshold

    def forward(self, x: Tensor) -> Tensor:
        if self.threshold == 0.0:
            y = F.leaky_relu(x, self.slope) if self.slope else F.relu(x)
        else:
            y = torch.where(x >= self.threshold, x, self.slope * (x - self.threshold))
        return y if self.most is None else y.clamp(max=self.most)


class PReLU(Part):
    """A learnt slope below 0."""

    def __init__(self, alpha: Tensor) -> None:
        super().__init__()
        self.alpha = parameter(alpha)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) - self.alpha * F.relu(-x)


def _hard_sigmoid_2(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(0.0, 1.0)


def _hard_sigmoid_3(x: Tensor) -> Tensor:
    return F.relu6(x + 3.0) / 6.0


def _hard_silu(x: Tensor) -> Tensor:
    return x * _hard_sigmoid_3(x)


def _linear(x: Tensor) -> Tensor:
    return x


def _squareplus(x: Tensor) -> Tensor:
    return (x + (x.square() + 4.0).sqrt()) / 2.0


FUNCTIONS: dict[str, Function] = {
    "linear": _linear,
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "swish": F.silu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "exponential": torch.exp,
    "mish": F.mish,
    "log_softmax": partial(F.log_softmax, dim=-1),
    "log_sigmoid": F.logsigmoid,
    "tanh_shrink": F.tanhshrink,
    "hard_tanh": F.hardtanh,
    "hard_shrink": F.hardshrink,
    "soft_shrink": F.softshrink,
    "squareplus": _squareplus,
    "hard_silu": _hard_silu,
    "hard_swish": _hard_silu,
}
"""Activations that have no options, by Keras's names."""


def named(name: str, version: int) -> nn.Module | None:
    """The activation of that name with its defaults, or None if there is none."""
    if name == "hard_sigmoid":
        return Elementwise(_hard_sigmoid_2 if version == 2 else _hard_sigmoid_3)
    if name in FUNCTIONS:
        return Elementwise(FUNCTIONS[name])
    others: dict[str, Callable[[], nn.Module]] = {
        "softmax": Softmax,
        "sigmoid": Sigmoid,
        "relu": ReLU,
        "relu6": partial(ReLU, most=6.0),
        "leaky_relu": partial(ReLU, slope=0.2),
    }
    return others[name]() if name in others else None


def activation(options: Options, key: str = "activation") -> nn.Module:
    """The activation that an option names. A layer may stand there in place of a name.

    Raises
    ------
    ModelFileError : it is not known, or is a function of the author's own.
    """
    value = options.values.get(key)
    if isinstance(value, Mapping):
        inner = value.get("config")
        name = value.get("class_name")
        if isinstance(inner, Mapping) and name in _LAYERS:
            return KINDS[str(name)].make(Options(inner, options.label, options.version), {})
        value = inner if name == "function" and isinstance(inner, str) else name
    found = (
        named("linear" if value is None else value, options.version)
        if isinstance(value, str | None)
        else None
    )
    if found is None:
        raise ModelFileError(
            f"{options.label} has the activation {shown(str(value), 60)}, which is not known here. Save the model"
            " with an activation of Keras's own, or export it to ONNX."
        )
    return found


@layer("Activation")
def _activation(options: Options, _: Weights) -> nn.Module:
    return activation(options)


@layer("ReLU")
def _relu(options: Options, _: Weights) -> nn.Module:
    slope = options.number("negative_slope", 0.0)
    return ReLU(slope, options.optional("max_value"), options.number("threshold", 0.0))


@layer("LeakyReLU")
def _leaky(options: Options, _: Weights) -> nn.Module:
    return ReLU(options.number("negative_slope", options.number("alpha", 0.3)))


@layer("ELU")
def _elu(options: Options, _: Weights) -> nn.Module:
    return Elementwise(partial(F.elu, alpha=options.number("alpha", 1.0)))


@layer("ThresholdedReLU")
def _thresholded(options: Options, _: Weights) -> nn.Module:
    return Elementwise(partial(F.threshold, threshold=options.number("theta", 1.0), value=0.0))


@layer("PReLU", trained=lambda _: ["alpha"])
def _prelu(_: Options, weights: Weights) -> nn.Module:
    return PReLU(weights["alpha"])


@layer("Softmax")
def _softmax(options: Options, _: Weights) -> nn.Module:
    return Softmax(options.integers("axis") if "axis" in options else (-1,))


_LAYERS = ("Activation", "ReLU", "LeakyReLU", "ELU", "ThresholdedReLU", "Softmax")
