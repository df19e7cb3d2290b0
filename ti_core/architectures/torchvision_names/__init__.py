"""Architectures with torchvision's tensor names, at any class count, input channels and size.

Each family is one class. Widths, kernels and groups are read from the shapes; strides, dilation, activations and the
constants of the norms follow the published networks.
"""

from ti_core.architectures.torchvision_names.convnext import ConvNeXt
from ti_core.architectures.torchvision_names.densenet import DenseNet
from ti_core.architectures.torchvision_names.efficientnet import EfficientNet
from ti_core.architectures.torchvision_names.inception import GoogLeNet, InceptionV3
from ti_core.architectures.torchvision_names.mobilenet import MobileNetV2Head, MobileNetV3
from ti_core.architectures.torchvision_names.plain import AlexNet, SqueezeNet
from ti_core.architectures.torchvision_names.regnet import RegNet
from ti_core.architectures.torchvision_names.resnet import TorchvisionResNet
from ti_core.architectures.torchvision_names.shufflenet import ShuffleNetV2
from ti_core.architectures.torchvision_names.swin import Swin
from ti_core.architectures.torchvision_names.vit import VisionTransformer

TORCHVISION_NAMES = (
    TorchvisionResNet,
    DenseNet,
    AlexNet,
    SqueezeNet,
    MobileNetV2Head,
    MobileNetV3,
    ShuffleNetV2,
    EfficientNet,
    RegNet,
    ConvNeXt,
    VisionTransformer,
    Swin,
    GoogLeNet,
    InceptionV3,
)
"""The families, each with its own name."""

__all__ = ["TORCHVISION_NAMES"]
