"""Networks that a bare state dict is matched to; adding one is adding a file and a line here."""

from __future__ import annotations

from typing import Any

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.challenge_mnist import ChallengeMNIST
from ti_core.architectures.convnet import ConvNet
from ti_core.architectures.lenet import LeNet5
from ti_core.architectures.mlp import MLP
from ti_core.architectures.resnet_small import SmallResNet

ARCHITECTURES: dict[str, type[Architecture]] = {
    cls.name: cls for cls in (ChallengeMNIST, LeNet5, ConvNet, SmallResNet, MLP)
}


def build(name: str, **options: Any) -> Architecture:
    """The network ``name`` with fresh weights. Lists (from JSON) serve where a tuple is expected."""
    settled = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return ARCHITECTURES[name](**settled)


__all__ = ["ARCHITECTURES", "Architecture", "Options", "Shapes", "build"]
