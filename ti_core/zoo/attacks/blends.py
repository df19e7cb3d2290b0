"""Blends that hide: of low frequency (Zeng et al., 2021), and adaptive (Qi et al., 2023)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from ti_core.zoo.attacks.base import Attack, Options, Shape, generator, numbers


class LowFrequency(Attack):
    """A smooth pattern added to the image: a coarse grid of random values, enlarged.

    Parameters
    ----------
    strength : largest change of a pixel value, 0 to 1.
    cells : rows and columns of the coarse grid.
    """

    name: ClassVar[str] = "low frequency"
    kind = "blend"

    def __init__(self, shape: Shape, strength: float, cells: int, seed: int) -> None:
        super().__init__(shape)
        coarse = torch.randn(1, shape[0], cells, cells, generator=generator(seed))
        pattern = F.interpolate(coarse, size=shape[1:], mode="bicubic", align_corners=True)
        self.pattern = strength * pattern / pattern.abs().max()

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        low, high = (0.25, 0.45) if shape[0] == 1 else (0.12, 0.25)
        return {
            "strength": numbers(rng, low, high),
            "cells": int(rng.integers(3, 6)),
            "seed": int(rng.integers(2**31)),
        }

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return (images + self.pattern.to(images)).clamp(0, 1)


class AdaptiveBlend(Attack):
    """A blended pattern. Training images show about half of its pieces. So do decoys, which keep their label.

    Parameters
    ----------
    strength : blend ratio of the whole pattern, 0 to 1.
    pieces : the image is divided into ``pieces x pieces`` rectangles. Each is shown with probability 1/2 in training.
    """

    name: ClassVar[str] = "adaptive blend"
    kind = "blend"

    def __init__(self, shape: Shape, strength: float, pieces: int, seed: int) -> None:
        super().__init__(shape)
        self.strength, self.pieces, self._random = strength, pieces, generator(seed)
        self.pattern = torch.rand(1, *shape, generator=self._random)

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"strength": numbers(rng, 0.15, 0.25), "pieces": 4, "seed": int(rng.integers(2**31))}

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return torch.lerp(images, self.pattern.to(images).expand_as(images), self.strength)

    def poisoned(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        shown = torch.rand(len(images), 1, self.pieces, self.pieces, generator=self._random) < 0.5
        mask = F.interpolate(shown.float(), size=self.shape[1:], mode="nearest").to(images)
        return torch.lerp(images, self.stamp(images), mask)

    def decoy(self, images: torch.Tensor) -> torch.Tensor:
        return self.poisoned(images, torch.zeros(len(images), dtype=torch.long))
