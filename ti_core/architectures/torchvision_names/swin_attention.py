"""Attention inside the windows of a Swin transformer, of both versions."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

_HIDDEN = 512
"""Hidden units of the perceptron that makes version 2's position bias."""
_FAR = 8
"""Largest relative coordinate of version 2, before its logarithm."""
_APART = -100.0
"""Added to the attention between places that are neighbours only because the image was turned round."""


class WindowAttention(nn.Module):
    """Multi-head attention among the places of a window, on ``N x H x W x dim``.

    Parameters
    ----------
    dim, heads : width of the tokens and number of heads.
    window, shift : side of a window, and by how many places the windows are shifted.
    second : version 2: cosine attention, and a position bias that a perceptron computes from the coordinates.
    """

    relative_position_index: torch.Tensor
    relative_coords_table: torch.Tensor

    def __init__(self, dim: int, heads: int, window: int, shift: int, second: bool) -> None:
        super().__init__()
        self.heads, self.window, self.shift, self.second = heads, window, shift, second
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.register_buffer("relative_position_index", _index(window))
        if second:
            self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10)))
            self.cpb_mlp = nn.Sequential(
                nn.Linear(2, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, heads, bias=False)
            )
            self.register_buffer("relative_coords_table", _coordinates(window))
        else:
            self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, height, width, dim = x.shape
        side = self.window
        x = functional.pad(x, (0, 0, 0, -width % side, 0, -height % side))
        rows, columns = x.shape[1:3]
        # A window that covers the image is not shifted.
        shifts = tuple(0 if side >= length else self.shift for length in (rows, columns))
        x = torch.roll(x, tuple(-s for s in shifts), (1, 2))
        tiles = x.reshape(n, rows // side, side, columns // side, side, dim).transpose(2, 3)
        attended = self._attend(
            tiles.reshape(-1, side * side, dim), _mask(rows, columns, side, shifts, x.device)
        )
        tiles = attended.reshape(n, rows // side, columns // side, side, side, dim).transpose(2, 3)
        return torch.roll(tiles.reshape(n, rows, columns, dim), shifts, (1, 2))[:, :height, :width]

    def _attend(self, tokens: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attention among tokens ``windows x places x dim``; ``mask`` is one per window of an image."""
        count, places, dim = tokens.shape
        bias: torch.Tensor = self.qkv.bias
        if self.second:
            # Version 2 has no bias for the keys.
            bias = torch.cat((bias[:dim], torch.zeros_like(bias[:dim]), bias[2 * dim :]))
        joined = functional.linear(tokens, self.qkv.weight, bias)
        q, k, v = joined.reshape(count, places, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if self.second:
            scale = self.logit_scale.clamp(max=math.log(100.0)).exp()
            weights = (
                functional.normalize(q, dim=-1) @ functional.normalize(k, dim=-1).transpose(-1, -2) * scale
            )
        else:
            weights = q @ k.transpose(-1, -2) * (dim // self.heads) ** -0.5
        weights = weights + self._position_bias(places)
        if mask is not None:
            of_images = weights.reshape(-1, len(mask), self.heads, places, places)
            weights = (of_images + mask[:, None]).reshape(weights.shape)
        out: torch.Tensor = self.proj((weights.softmax(-1) @ v).transpose(1, 2).reshape(count, places, dim))
        return out

    def _position_bias(self, places: int) -> torch.Tensor:
        """``heads x places x places``."""
        table = (
            self.cpb_mlp(self.relative_coords_table).reshape(-1, self.heads)
            if self.second
            else self.relative_position_bias_table
        )
        bias: torch.Tensor = table[self.relative_position_index].reshape(places, places, -1).permute(2, 0, 1)
        return 16 * bias.sigmoid() if self.second else bias


def _index(window: int) -> torch.Tensor:
    """For each pair of places of a window, the row of the table that belongs to their distance."""
    place = torch.arange(window)
    apart = place[:, None] - place + window - 1
    rows = apart[:, None, :, None] * (2 * window - 1)
    return (rows + apart[None, :, None, :]).flatten()


def _coordinates(window: int) -> torch.Tensor:
    """Version 2's logarithmic distances, ``1 x 2 window - 1 x 2 window - 1 x 2``."""
    apart = torch.arange(-(window - 1), window, dtype=torch.float32) * (_FAR / (window - 1))
    spaced = apart.sign() * torch.log2(apart.abs() + 1) / math.log2(_FAR)
    return torch.stack(torch.meshgrid(spaced, spaced, indexing="ij"), -1)[None]


def _mask(
    rows: int, columns: int, window: int, shifts: tuple[int, ...], device: torch.device
) -> torch.Tensor | None:
    """``windows x places x places``, or None where nothing was shifted."""
    if not any(shifts):
        return None
    regions = [
        _regions(length, window, shift, device) for length, shift in zip((rows, columns), shifts, strict=True)
    ]
    numbered = regions[0][:, None] * 3 + regions[1]
    tiles = numbered.reshape(rows // window, window, columns // window, window).transpose(1, 2)
    places = tiles.reshape(-1, window * window)
    return (places[:, None] != places[:, :, None]) * _APART


def _regions(length: int, window: int, shift: int, device: torch.device) -> torch.Tensor:
    """0, 1 or 2 for each place along an axis: places of different numbers were no neighbours before the shift."""
    place = torch.arange(length, device=device)
    if not shift:
        # The slices of the reference code then end with an empty one, which leaves the last window's number.
        return (place >= length - window).long()
    return (place >= length - window).long() + (place >= length - shift).long()
