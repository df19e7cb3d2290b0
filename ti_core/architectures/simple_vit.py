"""A plain vision transformer: L. Beyer et al., "Better plain ViT baselines for ImageNet-1k", 2022."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import nn

from ti_core.architectures.base import Architecture, Options, Shapes


def sincos_2d(height: int, width: int, dim: int, device: torch.device) -> torch.Tensor:
    """Fixed position embedding of a grid of patches, ``height width x dim``: sines and cosines of x and y."""
    omega = 10_000.0 ** -(torch.arange(dim // 4, device=device) / max(dim // 4 - 1, 1))
    y, x = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    rows, columns = y.reshape(-1, 1) * omega, x.reshape(-1, 1) * omega
    return torch.cat((columns.sin(), columns.cos(), rows.sin(), rows.cos()), dim=1)


class Patches(nn.Module):
    """Cuts images ``N x C x H x W`` into patches ``N x H/p x W/p x (p p C)``; the channel index varies fastest."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, c, height, width = x.shape
        p = self.patch
        tiles = x.reshape(n, c, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        return tiles.reshape(n, height // p, width // p, p * p * c)


class Attention(nn.Module):
    """Multi-head self-attention on layer-normalised tokens ``N x T x dim``."""

    def __init__(self, dim: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, dim_head**-0.5
        self.norm = nn.LayerNorm(dim)
        self.attend = nn.Softmax(dim=-1)
        self.to_qkv = nn.Linear(dim, 3 * heads * dim_head, bias=False)
        self.to_out = nn.Linear(heads * dim_head, dim, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, tokens, _ = x.shape
        q, k, v = self.to_qkv(self.norm(x)).reshape(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = self.attend(q @ k.transpose(-1, -2) * self.scale)
        out: torch.Tensor = self.to_out((weights @ v).transpose(1, 2).reshape(n, tokens, -1))
        return out


class FeedForward(nn.Module):
    """Two linear layers with GELU between them, on layer-normalised tokens."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, hidden), nn.GELU(), nn.Linear(hidden, dim))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x)
        return out


class Transformer(nn.Module):
    """Pairs of attention and feed-forward layers, each added to its input."""

    def __init__(self, dim: int, depth: int, heads: int, dim_head: int, mlp_dim: int, norm: bool) -> None:
        super().__init__()
        self.norm: nn.Module = nn.LayerNorm(dim) if norm else nn.Identity()
        self.layers = nn.ModuleList(
            nn.ModuleList((Attention(dim, heads, dim_head), FeedForward(dim, mlp_dim))) for _ in range(depth)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for pair in self.layers:
            for layer in pair.children():
                x = layer(x) + x
        out: torch.Tensor = self.norm(x)
        return out


class SimpleViT(Architecture):
    """Patches, fixed position embedding, transformer, mean over the tokens, linear head.

    The tensor names are those of vit-pytorch's ``SimpleViT``. Its earlier version has a layer norm in the
    head. Its later version has layer norms around the patch embedding and after the transformer.

    Parameters
    ----------
    in_channels, classes : input channels C and class count K.
    patch, dim, depth, mlp_dim : side of a patch, width, number of layer pairs, hidden units.
    inner : heads times the width of a head; only their product shows in the shapes.
    dim_head : width of a head.
    patch_norm : layer norm before and after the patch embedding.
    head_norm : layer norm in the head; otherwise after the transformer.
    """

    name: ClassVar[str] = "simple_vit"
    VARIANTS: ClassVar[tuple[Options, ...]] = tuple({"dim_head": d} for d in (64, 32, 16, 8))

    def __init__(
        self,
        in_channels: int = 3,
        classes: int = 43,
        patch: int = 4,
        dim: int = 128,
        depth: int = 6,
        mlp_dim: int = 256,
        inner: int = 1024,
        dim_head: int = 64,
        patch_norm: bool = False,
        head_norm: bool = True,
    ) -> None:
        super().__init__()
        # The head width must divide the product. Where it does not, a single head is used.
        dim_head = dim_head if inner % dim_head == 0 else inner
        pixels = patch * patch * in_channels
        embed: list[nn.Module] = [nn.Linear(pixels, dim)]
        if patch_norm:
            embed = [nn.LayerNorm(pixels), *embed, nn.LayerNorm(dim)]
        self.to_patch_embedding = nn.Sequential(Patches(patch), *embed)
        self.transformer = Transformer(dim, depth, inner // dim_head, dim_head, mlp_dim, not head_norm)
        self.to_latent = nn.Identity()
        head = nn.Linear(dim, classes)
        self.linear_head: nn.Module = nn.Sequential(nn.LayerNorm(dim), head) if head_norm else head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.to_patch_embedding(x)
        _, height, width, dim = tokens.shape
        tokens = tokens.flatten(1, 2) + sincos_2d(height, width, dim, tokens.device)
        scores: torch.Tensor = self.linear_head(self.to_latent(self.transformer(tokens).mean(dim=1)))
        return scores

    @classmethod
    def infer(cls, shapes: Shapes) -> Options | None:
        patch_norm, head_norm = "to_patch_embedding.3.weight" in shapes, "linear_head.1.weight" in shapes
        embed = shapes.get(f"to_patch_embedding.{2 if patch_norm else 1}.weight")
        head = shapes.get("linear_head.1.weight" if head_norm else "linear_head.weight")
        out = shapes.get("transformer.layers.0.0.to_out.weight")
        hidden = shapes.get("transformer.layers.0.1.net.1.weight")
        if embed is None or head is None or out is None or hidden is None:
            return None
        # A patch of p x p pixels has p p numbers in grey and 3 p p in colour. No number can be both.
        in_channels = 1 if math.isqrt(embed[1]) ** 2 == embed[1] else 3
        depth = 1
        while f"transformer.layers.{depth}.0.to_out.weight" in shapes:
            depth += 1
        return {
            "in_channels": in_channels,
            "classes": head[0],
            "patch": math.isqrt(embed[1] // in_channels),
            "dim": embed[0],
            "depth": depth,
            "mlp_dim": hidden[0],
            "inner": out[1],
            "patch_norm": patch_norm,
            "head_norm": head_norm,
        }
