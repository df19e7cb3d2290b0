"""Functions that jump where a number passes a level: the search for gates does not follow them."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ti_core.loading.keras.layers.activations import Elementwise, ReLU

OPERATORS = frozenset({"DynamicQuantizeLinear", "Mod", "Shrink", "ThresholdedRelu"})
"""Operators of a graph that jump or round, and are neither compared nor reversed."""
_LAYERS = (nn.Hardshrink, nn.Threshold)
_FUNCTIONS = ("hardshrink", "hard_shrink", "threshold", "_threshold")


def jumps(network: nn.Module) -> bool:
    """Whether a layer of a network that is no graph jumps at a level other than 0."""
    return any(map(_jumps, network.modules()))


def _jumps(layer: nn.Module) -> bool:
    if isinstance(layer, ReLU):
        return layer.threshold != 0.0
    if isinstance(layer, Elementwise):
        function = getattr(layer.function, "func", layer.function)
        return getattr(function, "__name__", "") in _FUNCTIONS
    return isinstance(layer, _LAYERS)


def unfollowed(operators: Iterable[str]) -> bool:
    """Whether a graph of these operators has such a step."""
    return not OPERATORS.isdisjoint(operators)
