"""The registered networks, to which a bare state dict is matched. Each has a file and a line here."""

from __future__ import annotations

from typing import Any

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.challenge_mnist import ChallengeMNIST
from ti_core.architectures.convnet import ConvNet
from ti_core.architectures.lenet import LeNet5
from ti_core.architectures.mlp import MLP
from ti_core.architectures.mobilenet import CifarMobileNetV2, MobileNetV2
from ti_core.architectures.preact_resnet import PreActResNet
from ti_core.architectures.resnet import CifarResNet, ResNet
from ti_core.architectures.resnet_small import SmallResNet
from ti_core.architectures.simple_vit import SimpleViT
from ti_core.architectures.torchvision_names import TORCHVISION_NAMES
from ti_core.architectures.vgg import VGG
from ti_core.architectures.wide_resnet import WideResNet

ARCHITECTURES: dict[str, type[Architecture]] = {
    cls.name: cls
    for cls in (
        ChallengeMNIST,
        LeNet5,
        ConvNet,
        SmallResNet,
        MLP,
        WideResNet,
        SimpleViT,
        ResNet,
        CifarResNet,
        PreActResNet,
        VGG,
        MobileNetV2,
        CifarMobileNetV2,
        *TORCHVISION_NAMES,
    )
}


def build(name: str, **options: Any) -> Architecture:
    """Build the network ``name`` with fresh weights. Lists (from JSON) are turned into tuples."""
    settled = {k: tuple(v) if isinstance(v, list) else v for k, v in options.items()}
    return ARCHITECTURES[name](**settled)


__all__ = ["ARCHITECTURES", "Architecture", "Options", "Shapes", "build"]
