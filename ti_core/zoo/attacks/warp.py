"""A smooth warp of the image, with its noise mode: WaNet (Nguyen and Tran, 2021)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from ti_core.zoo.attacks.base import Attack, Options, Shape, generator, numbers


class Warp(Attack):
    """One displacement field for all images. A decoy gets the field plus random noise, and keeps its label.

    Parameters
    ----------
    strength : mean displacement in pixels, over rows and columns.
    cells : rows and columns of the coarse field that is enlarged.
    """

    name: ClassVar[str] = "warp"
    kind = "warp"

    def __init__(self, shape: Shape, strength: float, cells: int, seed: int) -> None:
        super().__init__(shape)
        self._random = generator(seed)
        coarse = torch.rand(1, 2, cells, cells, generator=self._random) * 2 - 1
        coarse = coarse / coarse.abs().mean()
        fine = F.interpolate(coarse, size=shape[1:], mode="bicubic", align_corners=True)
        self.field = (strength * fine / fine.abs().mean()).permute(0, 2, 3, 1)
        identity = torch.eye(2, 3)[None]
        self._grid = F.affine_grid(identity, [1, 1, *shape[1:]], align_corners=True)
        self._pixel = 2 / (torch.tensor([shape[2], shape[1]]) - 1)

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"strength": numbers(rng, 0.7, 1.3), "cells": 4, "seed": int(rng.integers(2**31))}

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return self._moved(images, self.field)

    def decoy(self, images: torch.Tensor) -> torch.Tensor:
        noise = torch.rand(len(images), *self.shape[1:], 2, generator=self._random) * 2 - 1
        return self._moved(images, self.field + noise)

    def _moved(self, images: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        grid = (self._grid + field * self._pixel).clamp(-1, 1).to(images)
        return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=True)
