"""Single operations that stand in a graph without a layer, such as ``inputs / 127.5 - 1``.

Keras 2 keeps them as layers of the class ``TFOpLambda``, which names a function of TensorFlow; in spite of the name it
holds no code. Keras 3 has a class for each of its own functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ti_core.loading.keras.layers.registry import Part
from ti_core.loading.keras.options import Options

Constant = float | list[float]


@dataclass(frozen=True)
class Operation:
    """What an operation computes.

    Parameters
    ----------
    function : of tensors and, where ``options`` names them, of options by keyword.
    inputs : the names of its tensors, in order.
    options : the names of its options.
    """

    function: Callable[..., Tensor]
    inputs: tuple[str, ...] = ("x",)
    options: tuple[str, ...] = field(default=())


def _mean(x: Tensor, axis: Any = None, keepdims: Any = False) -> Tensor:
    axes = list(range(1, x.ndim)) if axis is None else [axis] if isinstance(axis, int) else list(axis)
    if any(a % x.ndim == 0 for a in axes):
        raise ValueError("it takes the mean over a batch")
    return x.mean(axes, bool(keepdims))


def _softmax(x: Tensor, axis: Any = -1) -> Tensor:
    if axis is not None and axis % x.ndim == 0:
        raise ValueError("it takes shares over a batch")
    return F.softmax(x, -1 if axis is None else axis)


def _clipped(x: Tensor, x_min: Tensor, x_max: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, x_min), x_max)


_PAIR = ("x", "y")
_TWO: dict[str, Callable[..., Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
}
_ONE: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "relu6": F.relu6,
    "elu": F.elu,
    "selu": F.selu,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "abs": torch.abs,
    "exp": torch.exp,
    "negative": torch.neg,
    "sqrt": torch.sqrt,
    "square": torch.square,
}
_ALL = {
    **{name: Operation(function, _PAIR) for name, function in _TWO.items()},
    **{name: Operation(function) for name, function in _ONE.items()},
    "mean": Operation(_mean, options=("axis", "keepdims")),
    "softmax": Operation(_softmax, options=("axis",)),
    "clip": Operation(_clipped, ("x", "x_min", "x_max")),
}
_OTHER_NAMES = {
    "truediv": "divide",
    "true_divide": "divide",
    "mul": "multiply",
    "sub": "subtract",
    "neg": "negative",
    "absolute": "abs",
    "swish": "silu",
    "reduce_mean": "mean",
    "bias_add": "add",
    "clip_by_value": "clip",
}
_TENSORFLOW = {
    "features": "x",
    "value": "x",
    "input_tensor": "x",
    "logits": "x",
    "bias": "y",
    "t": "x",
    "a": "x",
    "b": "y",
    "clip_value_min": "x_min",
    "clip_value_max": "x_max",
    "x1": "x",
    "x2": "y",
}
"""Names of arguments that mean the same."""
CLASSES = frozenset({"TFOpLambda", "TensorFlowOpLayer", "SlicingOpLambda"})
"""Keras 2's classes of operations; the last two are not supported."""


def operation_of(class_name: str, options: Options) -> Operation | None:
    """The operation of a class of Keras 3, or of what Keras 2's ``TFOpLambda`` names; None if it is not known."""
    if class_name == "TFOpLambda":
        function = options.values.get("function")
        name = function.rpartition(".")[2] if isinstance(function, str) else ""
        places = ("math", "nn", "__operators__", "keras.activations")
        if not isinstance(function, str) or function.rpartition(".")[0] not in places:
            return None
    else:
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in class_name).lstrip("_")
        name = (
            name if "_".join(p.capitalize() for p in name.split("_")).replace("_", "") == class_name else ""
        )
    return _ALL.get(_OTHER_NAMES.get(name, name))


def same_name(argument: str) -> str:
    """The name of an argument in :class:`Operation`, whatever TensorFlow calls it."""
    return _TENSORFLOW.get(argument, argument)


class Computed(Part):
    """An operation with its constants.

    Parameters
    ----------
    arguments : for each input in order a constant, or None where a tensor comes.
    """

    def __init__(
        self, operation: Operation, arguments: list[Constant | None], options: dict[str, Any]
    ) -> None:
        super().__init__()
        self.operation, self.options = operation, options
        self.moving = [constant is None for constant in arguments]
        for number, constant in enumerate(arguments):
            if constant is not None:
                self.register_buffer(f"constant_{number}", torch.tensor(constant, dtype=torch.float32))

    def forward(self, *inputs: Tensor) -> Tensor:
        if len({x.ndim for x in inputs}) > 1:
            # Broadcasting would lay the images of a batch along another axis.
            raise ValueError("its inputs have different numbers of axes")
        waiting = iter(inputs)
        values = [
            next(waiting) if moving else getattr(self, f"constant_{number}")
            for number, moving in enumerate(self.moving)
        ]
        return self.operation.function(*values, **self.options)
