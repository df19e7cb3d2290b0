"""The class paths of the Trojan Detection Challenge 2022, whose models are whole pickled modules.

M. Mazeika et al., "The Trojan Detection Challenge", NeurIPS 2022 competition track. Its networks are
``utils.MNIST_Network``, ``wrn.WideResNet`` and vit-pytorch's ``SimpleViT``, which cuts its patches with a
layer of einops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

REARRANGE = "einops.layers.torch.Rearrange"
_VIT = "vit_pytorch.simple_vit"

CLASSES: dict[str, str] = {
    "utils.MNIST_Network": "challenge_mnist",
    "__main__.MNIST_Network": "challenge_mnist",
    "wrn.WideResNet": "wide_resnet",
    f"{_VIT}.SimpleViT": "simple_vit",
}

PARTS: dict[str, str] = {
    "wrn.NetworkBlock": "WideStage",
    "wrn.BasicBlock": "WideBlock",
    f"{_VIT}.Transformer": "Transformer",
    f"{_VIT}.Attention": "Attention",
    f"{_VIT}.FeedForward": "FeedForward",
    REARRANGE: "Patches",
    # Older versions of einops store a parsed form beside the pattern. It is ignored.
    "einops.einops.TransformRecipe": "",
}
