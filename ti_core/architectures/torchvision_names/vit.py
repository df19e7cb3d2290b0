"""Vision transformers: A. Dosovitskiy et al., "An image is worth 16 x 16 words", ICLR 2021."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import LINEAR, Head, head_of
from ti_core.architectures.torchvision_names.parts import head as head_layers

_EPS = 1e-6
_HEAD_WIDTHS = {1280: 80}
"""Width of an attention head where it is not 64, by the width of the tokens (ViT-H)."""
_OLD, _NEW = ("linear_1", "linear_2"), ("0", "3")
"""Names of the two linear layers of a block, in the files that torchvision published and in those it writes."""


class _Attention(nn.Module):
    """Multi-head self-attention, with the tensor names of ``torch.nn.MultiheadAttention``."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.randn(3 * dim, dim) / math.sqrt(dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, dim = x.shape
        joined = nn.functional.linear(x, self.in_proj_weight, self.in_proj_bias)
        q, k, v = joined.reshape(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-1, -2) * (dim // self.heads) ** -0.5).softmax(-1)
        out: torch.Tensor = self.out_proj((weights @ v).transpose(1, 2).reshape(n, tokens, dim))
        return out


class _Block(nn.Module):
    """Attention and a perceptron, each on normalised tokens and added to its input."""

    def __init__(self, dim: int, heads: int, wide: int, names: tuple[str, str]) -> None:
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(dim, eps=_EPS), nn.LayerNorm(dim, eps=_EPS)
        self.self_attention = _Attention(dim, heads)
        self.mlp = nn.Sequential()
        self.mlp.add_module(names[0], nn.Linear(dim, wide))
        self.mlp.add_module("gelu", nn.GELU())
        self.mlp.add_module(names[1], nn.Linear(wide, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.self_attention(self.ln_1(x))
        out: torch.Tensor = x + self.mlp(self.ln_2(x))
        return out


class _Encoder(nn.Module):
    """Position embedding, blocks and a norm, on tokens ``N x count x dim``."""

    def __init__(self, count: int, dim: int, blocks: list[_Block]) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.randn(1, count, dim) * 0.02)
        self.layers = nn.Sequential()
        for number, block in enumerate(blocks):
            self.layers.add_module(f"encoder_layer_{number}", block)
        self.ln = nn.LayerNorm(dim, eps=_EPS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.ln(self.layers(tokens + self.pos_embedding))
        return out


class VisionTransformer(Architecture):
    """ViT-B, -L and -H of any patch and image size.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    side, patch : side of the images and of a patch.
    dim, depth, wide : width of the tokens, number of blocks, hidden units of a block.
    head_width : width of an attention head; 0 is the published one.
    old_names : tensor names ``mlp.linear_1`` as in the files that torchvision published.
    head : layers of ``heads``.
    """

    name: ClassVar[str] = "vision_transformer"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple({"head_width": width} for width in (0, 32, 16, 128))

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        side: int = 32,
        patch: int = 16,
        dim: int = 768,
        depth: int = 12,
        wide: int = 3072,
        head_width: int = 0,
        old_names: bool = False,
        head: Head = (("head", LINEAR, 0),),
    ) -> None:
        super().__init__()
        self.side = side
        width = head_width or _HEAD_WIDTHS.get(dim, 64)
        # A width that does not divide the tokens' leaves a single head.
        heads = dim // width if dim % width == 0 else 1
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.conv_proj = nn.Conv2d(in_channels, dim, patch, patch)
        blocks = [_Block(dim, heads, wide, _OLD if old_names else _NEW) for _ in range(depth)]
        self.encoder = _Encoder((side // patch) ** 2 + 1, dim, blocks)
        self.heads = head_layers(head, dim, classes, nn.Tanh if head[0][0] == "pre_logits" else nn.ReLU)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.conv_proj(x).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.class_token.expand(len(x), -1, -1), tokens), 1)
        scores: torch.Tensor = self.heads(self.encoder(tokens)[:, 0])
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem, places = shapes.get("conv_proj.weight"), shapes.get("encoder.pos_embedding")
        if stem is None or places is None:
            return None
        layers, classes = head_of(shapes, "heads")
        first = "encoder.layers.encoder_layer_0.mlp"
        old = f"{first}.linear_1.weight" in shapes
        depth = 0
        while f"encoder.layers.encoder_layer_{depth}.ln_1.weight" in shapes:
            depth += 1
        if layers[-1][0] == "pre_logits":
            # In the order of the alphabet the last layer comes before it.
            classes = shapes["heads.head.weight"][0]
            layers = (("pre_logits", LINEAR, shapes["heads.pre_logits.weight"][0]), ("head", LINEAR, 0))
        return {
            "in_channels": stem[1],
            "classes": classes,
            "side": math.isqrt(places[1] - 1) * stem[2],
            "patch": stem[2],
            "dim": stem[0],
            "depth": depth,
            "wide": shapes[f"{first}.{_OLD[0] if old else _NEW[0]}.weight"][0],
            "old_names": old,
            "head": layers,
        }
