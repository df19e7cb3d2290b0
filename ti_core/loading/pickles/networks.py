"""Whole networks saved with ``torch.save(model)``: their class paths, and the architecture for each.

The classes that a file names are never imported. The registered architecture builds the network and supplies
the forward pass; only the layers come from the file. The Trojan Detection Challenge stores its models this
way.
"""

from __future__ import annotations

from ti_core.loading.pickles import challenge

_OURS = "ti_core.architectures"
_VISION = "torchvision.models"

_OWN_CLASSES: dict[str, str] = {
    f"{_OURS}.challenge_mnist.ChallengeMNIST": "challenge_mnist",
    f"{_OURS}.lenet.LeNet5": "lenet5",
    f"{_OURS}.convnet.ConvNet": "convnet",
    f"{_OURS}.resnet_small.SmallResNet": "small_resnet",
    f"{_OURS}.mlp.MLP": "mlp",
    f"{_OURS}.wide_resnet.WideResNet": "wide_resnet",
    f"{_OURS}.simple_vit.SimpleViT": "simple_vit",
    f"{_OURS}.resnet.ResNet": "resnet",
    f"{_OURS}.resnet.CifarResNet": "cifar_resnet",
    f"{_OURS}.preact_resnet.PreActResNet": "preact_resnet",
    f"{_OURS}.vgg.VGG": "vgg",
    f"{_OURS}.mobilenet.MobileNetV2": "mobilenet_v2",
    f"{_OURS}.mobilenet.CifarMobileNetV2": "cifar_mobilenet_v2",
}

_OWN_PARTS: dict[str, str] = {
    f"{_OURS}.resnet_small.Block": "Block",
    f"{_OURS}.wide_resnet.WideBlock": "WideBlock",
    f"{_OURS}.wide_resnet.WideStage": "WideStage",
    f"{_OURS}.simple_vit.Patches": "Patches",
    f"{_OURS}.simple_vit.Attention": "Attention",
    f"{_OURS}.simple_vit.FeedForward": "FeedForward",
    f"{_OURS}.simple_vit.Transformer": "Transformer",
    f"{_OURS}.residual.Residual": "Residual",
    f"{_OURS}.residual.PadShortcut": "PadShortcut",
    f"{_OURS}.preact_resnet.PreActBlock": "PreActBlock",
    f"{_OURS}.mobilenet.InvertedResidual": "InvertedResidual",
    f"{_OURS}.mobilenet.CifarInvertedResidual": "CifarInvertedResidual",
}

NETWORK_CLASSES: dict[str, str] = {
    **_OWN_CLASSES,
    **challenge.CLASSES,
    f"{_VISION}.resnet.ResNet": "resnet",
    f"{_VISION}.vgg.VGG": "vgg",
    f"{_VISION}.mobilenetv2.MobileNetV2": "mobilenet_v2",
}
"""Class path of a whole network, and the registered architecture that takes its place."""

NETWORK_PARTS: dict[str, str] = {
    **_OWN_PARTS,
    **challenge.PARTS,
    f"{_VISION}.resnet.BasicBlock": "Residual",
    f"{_VISION}.resnet.Bottleneck": "Residual",
    f"{_VISION}.mobilenetv2.InvertedResidual": "InvertedResidual",
    # Different versions of torchvision name this unit of convolution, norm and activation differently.
    f"{_VISION}.mobilenetv2.ConvBNReLU": "Sequential",
    f"{_VISION}.mobilenetv2.ConvBNActivation": "Sequential",
    "torchvision.ops.misc.ConvNormActivation": "Sequential",
    "torchvision.ops.misc.Conv2dNormActivation": "Sequential",
}
"""Class path of a block inside those networks, and the name of the class here that takes its place."""
