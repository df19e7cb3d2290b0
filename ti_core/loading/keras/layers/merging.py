"""Layers that make one value of several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import torch
from torch import Tensor, nn

from ti_core.loading.keras.layers.registry import Part, Weights, layer
from ti_core.loading.keras.options import Options


class Merge(Part):
    """A function of two numbers, over all inputs. Inputs with fewer axes get the missing ones after the first."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], mean: bool = False) -> None:
        super().__init__()
        self.function, self.mean = function, mean

    def forward(self, *inputs: Tensor) -> Tensor:
        rank = max(x.ndim for x in inputs)
        y = reduce(
            self.function, [x.reshape(x.shape[0], *(1,) * (rank - x.ndim), *x.shape[1:]) for x in inputs]
        )
        return y / len(inputs) if self.mean else y


@layer("Add")
def _add(_: Options, __: Weights) -> nn.Module:
    return Merge(torch.add)


@layer("Subtract")
def _subtract(_: Options, __: Weights) -> nn.Module:
    return Merge(torch.sub)


@layer("Multiply")
def _multiply(_: Options, __: Weights) -> nn.Module:
    return Merge(torch.mul)


@layer("Average")
def _average(_: Options, __: Weights) -> nn.Module:
    return Merge(torch.add, mean=True)


@layer("Maximum")
def _maximum(_: Options, __: Weights) -> nn.Module:
    return Merge(torch.maximum)


@layer("Minimum")
def _minimum(_: Options, __: Weights) -> nn.Module:
    return Merge(torch.minimum)


class Concatenate(Part):
    def __init__(self, axis: int) -> None:
        super().__init__()
        self.axis = axis

    def numbers(self, *shapes: Sequence[int]) -> int:
        return sum(super(Concatenate, self).numbers(shape) for shape in shapes)

    def forward(self, *inputs: Tensor) -> Tensor:
        if self.axis in (0, -inputs[0].ndim):
            raise ValueError("it joins images of a batch")
        return torch.cat(inputs, self.axis)


@layer("Concatenate")
def _concatenate(options: Options, _: Weights) -> nn.Module:
    axes = options.integers("axis") if "axis" in options else (-1,)
    if len(axes) != 1:
        raise options.wrong("axis")
    return Concatenate(axes[0])
