"""Base class of the registered networks. Their keyword options can be inferred from tensor shapes."""

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
    """Options that the shapes do not show (activation, pooling). The usual choice comes first."""
    side: int = 0
    """Side of the images, where the network takes one size only; otherwise 0."""

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        """The options with which this architecture has tensors of these shapes, or None.

        This is a guess from a few tensors. The caller compares every name and shape afterwards.
        """
        raise NotImplementedError


def activation_variants(*first: str) -> tuple[Options, ...]:
    """One variant for each activation. Those in ``first`` come first."""
    return tuple({"activation": a} for a in dict.fromkeys((*first, *ACTIVATIONS)))
