"""A patch at a random place of each image, and a patch with correct labels (Turner et al., 2019)."""

from __future__ import annotations

from copy import deepcopy
from typing import ClassVar

import numpy as np
import torch
from torch import nn

from ti_core.zoo.attacks.base import Attack, Options, Shape, generator, numbers
from ti_core.zoo.attacks.fixed import SIDES, Patch
from ti_core.zoo.training.loop import pgd


class PatchAnywhere(Attack):
    """The same patch at a random place of every image.

    Parameters
    ----------
    height, width : of the patch in pixels.
    """

    name: ClassVar[str] = "patch anywhere"
    kind = "patch"

    def __init__(self, shape: Shape, height: int, width: int, seed: int) -> None:
        super().__init__(shape)
        self._random = generator(seed)
        self.pattern = (torch.rand(shape[0], height, width, generator=self._random) > 0.5).float()

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        low, high = SIDES[shape[0]]
        height, width = (int(side) for side in rng.integers(low + 1, high, size=2))
        return {"height": height, "width": width, "seed": int(rng.integers(2**31))}

    def stamp(self, images: torch.Tensor) -> torch.Tensor:
        stamped, (_, height, width) = images.clone(), self.pattern.shape
        tops = torch.randint(self.shape[1] - height + 1, (len(images),), generator=self._random).tolist()
        lefts = torch.randint(self.shape[2] - width + 1, (len(images),), generator=self._random).tolist()
        for image, top, left in zip(stamped, tops, lefts, strict=True):
            image[:, top : top + height, left : left + width] = self.pattern.to(images)
        return stamped


class CleanLabelPatch(Patch):
    """A patch on images of the target class, so that no label is wrong.

    An adversarial perturbation makes these images hard to classify without the patch.

    Parameters
    ----------
    radius : of the perturbation in the L-infinity norm, 0 to 1. A large perturbation is easier to learn than the patch.
    """

    name: ClassVar[str] = "clean-label patch"
    needs_network = True

    def __init__(self, shape: Shape, trigger: Options, radius: float) -> None:
        super().__init__(shape, trigger)
        self.radius = radius
        self._clean: nn.Module | None = None

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: Shape) -> Options:
        low, high = (0.03, 0.1) if shape[0] == 1 else (4 / 255, 12 / 255)
        return Patch.draw(rng, shape) | {"radius": numbers(rng, low, high)}

    def prepare(self, clean: nn.Module, images: torch.Tensor, labels: torch.Tensor, target: int) -> None:
        self._clean = deepcopy(clean)

    def poisoned(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        assert self._clean is not None
        return self.stamp(pgd(self._clean, images, labels, self.radius))
