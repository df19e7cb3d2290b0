"""Runs a network so that the gradient of each of its functions follows a rule.

A rule gives each function multipliers that take the place of its derivatives. What is then propagated backwards is
not the gradient but the relevance of a value divided by the value. This works for networks of any form, since
functions are intercepted and not modules: sums, products, reused layers, and graphs.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ti_core.errors import NoRuleError
from ti_core.inspection.attribution.rules.attention import attention, multi_head
from ti_core.inspection.attribution.rules.functions import ELEMENTWISE, LINEAR, NORMS, PRODUCTS, QUOTIENTS

Function = Callable[..., Any]


class Rules(TorchFunctionMode):
    """The rules of one method. A function without a rule ends the run."""

    def __torch_function__(
        self, func: Function, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "").strip("_")
        if kwargs.pop("inplace", False) is not False:
            kwargs["inplace"] = False
        if not _live((args, kwargs)) or name in LINEAR:
            return func(*args, **kwargs)
        return self._with_rule(name, func, args, kwargs)

    def _with_rule(self, name: str, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if name == "batch_norm" and not _live(args[1:]) and not _trains(args, kwargs):
            return func(*args, **kwargs)
        if name in ELEMENTWISE and _live(args[0]) and not _live((args[1:], kwargs)):
            outside = getattr(torch.Tensor, name, func) if func.__name__ == f"{name}_" else func
            return self.elementwise(lambda x: outside(x, *args[1:], **kwargs), args[0])
        if name in PRODUCTS and len(args) == 2:
            return self._product(func, args, kwargs)
        if name in QUOTIENTS and len(args) == 2:
            return self._quotient(name, func, args, kwargs)
        if name == "softmax":
            return self.softmax(args[0], _dimension(args, kwargs))
        if name in NORMS:
            return self.normalised(name, args, kwargs)
        if name == "scaled_dot_product_attention":
            with self:
                return attention(*args, **kwargs)
        if name == "multi_head_attention_forward":
            with self:
                return multi_head(args, kwargs)
        result = self.other(name, func, args, kwargs)
        if result is None:
            result = func(*args, **kwargs)
            if _live(result):
                raise NoRuleError(f"the function {name or 'without a name'} has none")
        return result

    def _product(self, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not (_live(args[0]) and _live(args[1])):
            return func(*args, **kwargs)
        return self.product(torch.mul if func.__name__ == "__imul__" else func, *args)

    def _quotient(self, name: str, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        above, below = reversed(args) if name.startswith("r") else args
        if not _live(below):
            return func(*args, **kwargs)
        if kwargs:
            raise NoRuleError("a division that rounds has none")
        with self:
            inverse = torch.reciprocal(below)
            return above * inverse

    @abstractmethod
    def elementwise(self, f: Function, x: torch.Tensor) -> torch.Tensor:
        """``f(x)`` of a function of each value by itself."""

    @abstractmethod
    def product(self, f: Function, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """A product, of matrices or of values, whose factors both depend on the image."""

    @abstractmethod
    def softmax(self, x: torch.Tensor, dim: int) -> torch.Tensor:
        """Softmax along a dimension."""

    @abstractmethod
    def normalised(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """A normalisation by the values' own mean and variance."""

    def other(self, name: str, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The result of a function with a rule of this method's own, else None."""
        return None


class Multiplied(torch.autograd.Function):
    """A result whose gradient is a given multiplier times the gradient that arrives."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, result: torch.Tensor, multiplier: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(multiplier)
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *arriving: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return arriving[0] * ctx.saved_tensors[0], None, None


def multiplied(x: torch.Tensor, result: torch.Tensor, multiplier: torch.Tensor) -> torch.Tensor:
    """``result``, whose gradient with respect to ``x`` is ``multiplier``. All three have one shape."""
    found: torch.Tensor = Multiplied.apply(x, result.detach(), multiplier.detach())  # type: ignore[no-untyped-call]
    return found


def statistics(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[torch.Tensor, tuple[int, ...], float, torch.Tensor | None, torch.Tensor | None]:
    """A normalisation as values ``x``, the dimensions of its mean, epsilon, weight and bias.

    Raises
    ------
    NoRuleError : another normalisation than that of layers or groups.
    """
    names = {
        "layer_norm": ("input", "shape", "weight", "bias", "eps"),
        "group_norm": ("input", "num_groups", "weight", "bias", "eps"),
    }
    if name not in names:
        raise NoRuleError(f"the function {name} has none")
    given = {"normalized_shape": "shape"}
    found = dict(zip(names[name], args, strict=False)) | {given.get(k, k): v for k, v in kwargs.items()}
    x: torch.Tensor = found["input"]
    weight, bias, eps = found.get("weight"), found.get("bias"), float(found.get("eps", 1e-5))
    if name == "layer_norm":
        return x, tuple(range(x.ndim - len(found["shape"]), x.ndim)), eps, weight, bias
    across = (-1, *([1] * (x.ndim - 2)))
    grouped = x.reshape(len(x), int(found["num_groups"]), -1)
    weight = None if weight is None else weight.reshape(across).expand(x.shape[1:]).reshape(grouped.shape[1:])
    bias = None if bias is None else bias.reshape(across).expand(x.shape[1:]).reshape(grouped.shape[1:])
    return grouped, (2,), eps, weight, bias


def _live(value: Any) -> bool:
    """Whether a value, or one inside it, depends on the image."""
    if isinstance(value, torch.Tensor):
        return value.requires_grad
    if isinstance(value, Mapping):
        return any(map(_live, value.values()))
    return isinstance(value, (tuple, list)) and any(map(_live, value))


def _trains(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a batch norm takes the batch's own statistics."""
    return bool(kwargs.get("training", args[5] if len(args) > 5 else False))


def _dimension(args: tuple[Any, ...], kwargs: dict[str, Any]) -> int:
    found = kwargs.get("dim", args[1] if len(args) > 1 else None)
    if not isinstance(found, int):
        raise NoRuleError("a softmax that names no dimension has none")
    return found


def same(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether a run under rules gave the network's own scores."""
    return bool(torch.allclose(found.detach(), expected, rtol=1e-2, atol=1e-3))
