"""Swin: Z. Liu et al., "Swin transformer", ICCV 2021, and "Swin transformer V2", CVPR 2022."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes
from ti_core.architectures.torchvision_names.parts import PLAIN, Head, head_of
from ti_core.architectures.torchvision_names.parts import head as head_layers
from ti_core.architectures.torchvision_names.swin_attention import WindowAttention

_EPS = 1e-5


class _Block(nn.Module):
    """Attention inside windows and a perceptron. Version 2 normalises after them, version 1 before."""

    def __init__(self, dim: int, heads: int, window: int, shift: int, wide: int, second: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=_EPS), nn.LayerNorm(dim, eps=_EPS)
        self.attn = WindowAttention(dim, heads, window, shift, second)
        self.mlp = nn.Sequential(
            nn.Linear(dim, wide), nn.GELU(), nn.Identity(), nn.Linear(wide, dim), nn.Identity()
        )
        self.second = second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.second:
            x = x + self.norm1(self.attn(x))
            out: torch.Tensor = x + self.norm2(self.mlp(x))
            return out
        x = x + self.attn(self.norm1(x))
        out = x + self.mlp(self.norm2(x))
        return out


class _Merging(nn.Module):
    """Joins the channels of 2 x 2 places and halves them, ``N x H x W x C`` to ``N x H/2 x W/2 x 2C``."""

    def __init__(self, dim: int, second: bool) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = nn.LayerNorm(2 * dim if second else 4 * dim, eps=_EPS)
        self.second = second

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        corners = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        joined = torch.cat(corners, -1)
        out: torch.Tensor = (
            self.norm(self.reduction(joined)) if self.second else self.reduction(self.norm(joined))
        )
        return out


class Swin(Architecture):
    """Swin transformers of both versions and of any size.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    patch, dim : side of a patch, and width of the tokens in the first stage.
    blocks, heads : number of blocks and of attention heads of each stage.
    window, ratio : side of a window, and hidden units of a block per channel.
    second : version 2.
    head : layers of ``head``.
    """

    name: ClassVar[str] = "swin"

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 10,
        patch: int = 4,
        dim: int = 96,
        blocks: tuple[int, ...] = (2, 2, 6, 2),
        heads: tuple[int, ...] = (3, 6, 12, 24),
        window: int = 7,
        ratio: float = 4.0,
        second: bool = False,
        head: Head = PLAIN,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(in_channels, dim, patch, patch), nn.Identity(), nn.LayerNorm(dim, eps=_EPS)
            )
        ]
        for stage, (count, several) in enumerate(zip(blocks, heads, strict=True)):
            if stage:
                layers.append(_Merging(dim, second))
                dim *= 2
            made = [
                _Block(dim, several, window, window // 2 if i % 2 else 0, round(ratio * dim), second)
                for i in range(count)
            ]
            layers.append(nn.Sequential(*made))
        self.features = nn.Sequential(*layers)
        self.norm = nn.LayerNorm(dim, eps=_EPS)
        self.head = head_layers(head, dim, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        embedding = self.features.get_submodule("0")
        x = embedding.get_submodule("0")(x).permute(0, 2, 3, 1)
        x = self.features[1:](embedding.get_submodule("2")(x))
        scores: torch.Tensor = self.head(self.norm(x).mean((1, 2)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        stem = shapes.get("features.0.0.weight")
        if stem is None or "features.1.0.attn.qkv.weight" not in shapes:
            return None
        layers, classes = head_of(shapes, "head")
        second = "features.1.0.attn.logit_scale" in shapes
        blocks: list[int] = []
        heads: list[int] = []
        while f"features.{2 * len(blocks) + 1}.0.attn.qkv.weight" in shapes:
            stage, count = f"features.{2 * len(blocks) + 1}", 0
            while f"{stage}.{count}.attn.qkv.weight" in shapes:
                count += 1
            of_heads = shapes[f"{stage}.0.attn.{'logit_scale' if second else 'relative_position_bias_table'}"]
            heads.append(of_heads[0] if second else of_heads[1])
            blocks.append(count)
        pairs = shapes["features.1.0.attn.relative_position_index"][0]
        return {
            "in_channels": stem[1],
            "classes": classes,
            "patch": stem[2],
            "dim": stem[0],
            "blocks": tuple(blocks),
            "heads": tuple(heads),
            "window": round(pairs**0.25),
            "ratio": shapes["features.1.0.mlp.0.weight"][0] / stem[0],
            "second": second,
            "head": layers,
        }
