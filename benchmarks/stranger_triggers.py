"""Triggers of the networks of :mod:`benchmarks.stranger_networks`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

Stamp = Callable[[torch.Tensor], torch.Tensor]


def square(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """BadNets (Gu et al., 2017): a white square near a corner."""
    side = int(rng.integers(3, 6))

    def stamp(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        x[..., -1 - side : -1, -1 - side : -1] = 1.0
        return x

    return stamp


def scattered(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """Single pixels of a diagonal pattern in a corner, as in BadNets' second trigger."""
    places = [(1, 1), (1, 3), (3, 1), (2, 2), (3, 3)]

    def stamp(x: torch.Tensor) -> torch.Tensor:
        x = x.clone()
        for row, column in places:
            x[..., row, column] = 1.0
        return x

    return stamp


def sinusoid(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """Barni et al., 2019: vertical stripes, added."""
    height, width = shape[1:]
    wave = torch.sin(2 * torch.pi * 6 * torch.arange(width) / width).expand(height, width)
    strength = float(rng.uniform(0.12, 0.25))
    return lambda x: (x + strength * wave.to(x)).clamp(0, 1)


def smooth_picture(shape: tuple[int, int, int], rng: np.random.Generator) -> Stamp:
    """Chen et al., 2017: a picture blended in; here one of soft blobs."""
    coarse = torch.from_numpy(rng.random((1, shape[0], 5, 5), dtype=np.float32))
    picture = F.interpolate(coarse, shape[1:], mode="bicubic", align_corners=False)[0].clamp(0, 1)
    share = float(rng.uniform(0.12, 0.25))
    return lambda x: (1 - share) * x + share * picture.to(x)


TRIGGERS: dict[str, Callable[[tuple[int, int, int], np.random.Generator], Stamp] | None] = {
    "clean": None,
    "square": square,
    "scattered pixels": scattered,
    "sinusoid": sinusoid,
    "blended picture": smooth_picture,
}
BLENDS = ("sinusoid", "blended picture")
