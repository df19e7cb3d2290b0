"""Whole networks that are read from ``torch.save(model)``: which class paths stand for which architecture.

The classes themselves are never imported from a file's say-so: the network is built by the registered
architecture, whose forward pass is ours, and only the layers come from the file. The Trojan Detection Challenge
stores its models this way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ti_core.loading.records import Record


def _under(prefix: str, names: str) -> tuple[str, ...]:
    return tuple(f"{prefix}.{name}" for name in names.split())


OWN: dict[str, str] = {
    "ti_core.architectures.challenge_mnist.ChallengeMNIST": "challenge_mnist",
    "ti_core.architectures.lenet.LeNet5": "lenet5",
    "ti_core.architectures.convnet.ConvNet": "convnet",
    "ti_core.architectures.resnet_small.SmallResNet": "small_resnet",
    "ti_core.architectures.mlp.MLP": "mlp",
}

NETWORK_CLASSES: dict[str, str] = {
    **OWN,
    "utils.MNIST_Network": "challenge_mnist",
    "__main__.MNIST_Network": "challenge_mnist",
}
"""Class path of a whole network, and the registered architecture that takes its place."""

EINOPS_REARRANGE = "einops.layers.torch.Rearrange"

NETWORK_PARTS: frozenset[str] = frozenset(("ti_core.architectures.resnet_small.Block",))
"""Class paths of the blocks inside those networks."""


def options_of(architecture: str, record: Record) -> dict[str, Any]:
    """What a whole module tells of itself beyond the shapes of its tensors."""
    return {}
