"""What every registered network has in common: keyword options, and a way back from tensor shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from torch import nn

Shapes = Mapping[str, tuple[int, ...]]
Options = dict[str, Any]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}


class Architecture(nn.Module):
    """An image classifier that can be rebuilt from its options, or from the shapes of its weights.

    A network maps float images ``N x C x H x W`` to class scores ``N x K``.
    """

    name: ClassVar[str]
    VARIANTS: ClassVar[tuple[Options, ...]] = ({},)
    """Options that leave no trace in the shapes (activations, pooling), the usual choice first."""

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        """The options under which this architecture has tensors of these shapes, or None.

        A guess from the telling tensors only: the caller compares every key and shape.
        """
        raise NotImplementedError


def activation_variants(*first: str) -> tuple[Options, ...]:
    """Every activation as a variant, those in ``first`` leading."""
    return tuple({"activation": a} for a in dict.fromkeys((*first, *ACTIVATIONS)))
