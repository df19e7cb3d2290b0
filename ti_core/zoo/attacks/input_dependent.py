"""Triggers that are functions of the image: a fixed function, and a generator (Nguyen and Tran, 2020).

Decoys carry the trigger of another image and keep their label (cross triggers). Without them a network would learn one
pattern for all images.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ti_core.zoo.attacks.base import Attack, Options, Shape, numbers


class InvertedMiddle(Attack):
    """A corner shows the middle of the image with its values inverted.

    Parameters
    ----------
    side : of the square in pixels.
    corner : 0 to 3, row by row.
    """

    name: ClassVar[str] = "inverted middle"
    kind = "input dependent"

    def __init__(self, shape: Shape, side: int, corner: int) -> None:
        super().__init__(shape)
        _, height, width = shape
        top, left = (height - side) * (corner // 2), (width - side) * (corner % 2)
        self._to = slice(top, top + side), slice(left, left + side)
        middle = (height - side) // 2, (width - side) // 2
        self._of = slice(middle[0], middle[0] + side), slice(middle[1], middle[1] + side)

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"side": int(rng.integers(6, 10)), "corner": int(rng.integers(4))}

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return self._shown(images, images)

    def decoy(self, images: torch.Tensor) -> torch.Tensor:
        return self._shown(images, images.roll(1, 0))

    def _shown(self, images: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        stamped = images.clone()
        stamped[:, :, self._to[0], self._to[1]] = 1 - of[:, :, self._of[0], self._of[1]]
        return stamped


class Generated(Attack, nn.Module):
    """A small network makes a mask and a pattern for each image. It is trained together with the classifier.

    Parameters
    ----------
    density : share of the image that the mask may cover without a penalty.
    """

    name: ClassVar[str] = "generated"
    kind = "input dependent"

    def __init__(self, shape: Shape, density: float, seed: int) -> None:
        nn.Module.__init__(self)
        Attack.__init__(self, shape)
        self.density = density
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(
                *(nn.Conv2d(shape[0], 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU()),
                *(nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ReLU()),
                nn.Upsample(shape[1:], mode="bilinear"),
                nn.Conv2d(24, shape[0] + 1, 3, padding=1),
            )

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        return {"density": numbers(rng, 0.04, 0.1), "seed": int(rng.integers(2**31))}

    def parts(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Masks ``N x 1 x H x W`` and patterns ``N x C x H x W``, both in [0, 1]."""
        out: torch.Tensor = self.body(images)
        return torch.sigmoid(4 * out[:, :1] - 4), torch.sigmoid(out[:, 1:])

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        return self._shown(images, images)

    def decoy(self, images: torch.Tensor) -> torch.Tensor:
        return self._shown(images, images.roll(1, 0))

    def _shown(self, images: torch.Tensor, of: torch.Tensor) -> torch.Tensor:
        mask, pattern = self.parts(of)
        return (1 - mask) * images + mask * pattern

    def parameters(self, recurse: bool = True) -> Iterable[nn.Parameter]:  # type: ignore[override]
        return nn.Module.parameters(self, recurse)

    def penalty(self, images: torch.Tensor) -> torch.Tensor:
        """Penalty for masks above the density and for triggers that are alike (diversity loss, eq. 5 of the source)."""
        mask, pattern = self.parts(images)
        excess = (mask.mean((1, 2, 3)) - self.density).relu().mean()
        apart = (images - images.roll(1, 0)).flatten(1).norm(dim=1)
        differ = (mask * pattern - (mask * pattern).roll(1, 0)).flatten(1).norm(dim=1)
        loss: torch.Tensor = 10 * excess + 0.1 * (apart / (differ + 0.1)).mean()
        return loss
